{#-
    Functions and operators that DuckDB and Spark spell differently: one macro each, with DuckDB's version beside it. Spark's
    versions are in spark.sql. Models and other macros call these macros and contain no code for a single engine.

    SQL that means the same in both engines needs no macro. Beware of two differences: nulls sort last in DuckDB and first in Spark
    (so say which, if a key may be null), and sums of BIGINT are wider in DuckDB (wide_sum).
-#}

{#- Whether a build may be partial (changes.sql), which needs transactions over several tables. -#}
{% macro keeps_history() -%}{{ return(adapter.dispatch("keeps_history")()) }}{%- endmacro %}
{% macro default__keeps_history() -%}{{ return(true) }}{%- endmacro %}

{#- How a view is materialized whose SQL is long on Spark, where dividing wide integers takes many words. -#}
{% macro long_view() -%}{{ return(adapter.dispatch("long_view")()) }}{%- endmacro %}
{% macro default__long_view() -%}{{ return("view") }}{%- endmacro %}

{#- The type of whole numbers of up to 38 digits. -#}
{% macro wide_integer() -%}{{ return(adapter.dispatch("wide_integer")()) }}{%- endmacro %}
{% macro default__wide_integer() -%}hugeint{%- endmacro %}

{#- The sum of a BIGINT, which may exceed BIGINT. -#}
{% macro wide_sum(number) -%}{{ return(adapter.dispatch("wide_sum")(number)) }}{%- endmacro %}
{% macro default__wide_sum(number) -%}sum({{ number }}){%- endmacro %}

{#- numerator ÷ denominator without the fraction, for whole numbers whose quotient fits a BIGINT. Null if the denominator is
    null. -#}
{% macro whole_quotient(numerator, denominator) -%}
    {{ return(adapter.dispatch("whole_quotient")(numerator, denominator)) }}
{%- endmacro %}
{% macro default__whole_quotient(numerator, denominator) -%}{{ numerator }} // {{ denominator }}{%- endmacro %}

{#- The same for quotients that may exceed BIGINT. -#}
{% macro wide_quotient(numerator, denominator) -%}
    {{ return(adapter.dispatch("wide_quotient")(numerator, denominator)) }}
{%- endmacro %}
{% macro default__wide_quotient(numerator, denominator) -%}{{ numerator }} // {{ denominator }}{%- endmacro %}

{#- Whether a pattern matches the whole text. The pattern has no quotes or backslashes, and means the same in both engines. -#}
{% macro full_match(text, pattern) -%}{{ return(adapter.dispatch("full_match")(text, pattern)) }}{%- endmacro %}
{% macro default__full_match(text, pattern) -%}regexp_full_match({{ text }}, '{{ pattern }}'){%- endmacro %}

{#- A plain number (digits, optionally a point and up to `scale` decimals) times 10^scale as a whole number, exactly. -#}
{% macro plain_number_scaled(text, scale, type) -%}
    {{ return(adapter.dispatch("plain_number_scaled")(text, scale, type)) }}
{%- endmacro %}
{#- DuckDB casts text with an exponent to an integer exactly; a product of decimals would take ten times as long. -#}
{% macro default__plain_number_scaled(text, scale, type) -%}
    try_cast({{ text }}{% if scale %} || 'e{{ scale }}'{% endif %} as {{ type }})
{%- endmacro %}

{#- A number from 1 by which tests weight texts. It has 20 bits, so different texts may share it; its value depends on the engine. -#}
{% macro text_weight(text) -%}{{ return(adapter.dispatch("text_weight")(text)) }}{%- endmacro %}
{% macro default__text_weight(text) -%}((hash({{ text }}) % 1048573)::bigint + 1){%- endmacro %}

{#- A 64-bit number that is equal for equal values, nulls included; its value depends on the engine. -#}
{% macro row_digest(columns) -%}{{ return(adapter.dispatch("row_digest")(columns)) }}{%- endmacro %}
{% macro default__row_digest(columns) -%}hash({{ columns | join(", ") }}){%- endmacro %}

{#- At the end of a query that fills a large table: puts the rows of a user period next to each other, so that a query for a few of
    them skips whole blocks of others. The order is by a number, which is cheap to sort; its value depends on the engine. -#}
{% macro order_by_user_period() -%}{{ return(adapter.dispatch("order_by_user_period")()) }}{%- endmacro %}
{% macro default__order_by_user_period() -%}order by hash(external_user_id, billing_period){%- endmacro %}

{#- A text with a question mark for each control character. -#}
{% macro without_controls(text) -%}{{ return(adapter.dispatch("without_controls")(text)) }}{%- endmacro %}
{% macro default__without_controls(text) -%}regexp_replace({{ text }}, '[[:cntrl:]]', '?', 'g'){%- endmacro %}

{#- A value of the project (a variable, a path) as an SQL text, escaped so that no value can end the text. -#}
{% macro text_literal(value) -%}{{ return(adapter.dispatch("text_literal")(value)) }}{%- endmacro %}
{% macro default__text_literal(value) -%}'{{ value | string | replace("'", "''") }}'{%- endmacro %}

{#- SHA-256 of a text, in hex. -#}
{% macro sha256(text) -%}{{ return(adapter.dispatch("sha256")(text)) }}{%- endmacro %}
{% macro default__sha256(text) -%}sha256({{ text }}){%- endmacro %}

{#- The texts of a group, concatenated in the given order. -#}
{% macro joined_texts(text, separator, order_by) -%}
    {{ return(adapter.dispatch("joined_texts")(text, separator, order_by)) }}
{%- endmacro %}
{% macro default__joined_texts(text, separator, order_by) -%}
    string_agg({{ text }}, '{{ separator }}' order by {{ order_by }})
{%- endmacro %}

{#- The value in the row of a group with the highest `place`, even if the value is null. -#}
{% macro value_at_highest(value, place) -%}{{ return(adapter.dispatch("value_at_highest")(value, place)) }}{%- endmacro %}
{% macro default__value_at_highest(value, place) -%}arg_max_null({{ value }}, {{ place }}){%- endmacro %}

{#- Fails with the text as its message when it is evaluated. -#}
{% macro fail_with(text) -%}{{ return(adapter.dispatch("fail_with")(text)) }}{%- endmacro %}
{% macro default__fail_with(text) -%}error({{ text }}){%- endmacro %}

{#- The join that keeps rows that have a match, once each. -#}
{% macro semi_join() -%}{{ return(adapter.dispatch("semi_join")()) }}{%- endmacro %}
{% macro default__semi_join() -%}semi join{%- endmacro %}

{#- The join that keeps rows that have no match. -#}
{% macro anti_join() -%}{{ return(adapter.dispatch("anti_join")()) }}{%- endmacro %}
{% macro default__anti_join() -%}anti join{%- endmacro %}

{#- Microseconds since 1970 of a TIMESTAMP, BIGINT. -#}
{% macro epoch_us(moment) -%}{{ return(adapter.dispatch("epoch_us")(moment)) }}{%- endmacro %}
{% macro default__epoch_us(moment) -%}epoch_us({{ moment }}){%- endmacro %}

{#- The TIMESTAMP at a number of microseconds since 1970. -#}
{% macro from_epoch_us(microseconds) -%}{{ return(adapter.dispatch("from_epoch_us")(microseconds)) }}{%- endmacro %}
{% macro default__from_epoch_us(microseconds) -%}make_timestamp({{ microseconds }}){%- endmacro %}

{#- The start of a billing period `YYYY-MM`, as TIMESTAMP. -#}
{% macro period_start(period) -%}{{ return(adapter.dispatch("period_start")(period)) }}{%- endmacro %}
{% macro default__period_start(period) -%}strptime({{ period }}, '%Y-%m'){%- endmacro %}

{#- Whole days from one midnight to another, or whole hours from one full hour to another, BIGINT. -#}
{% macro days_between(from_day, to_day) -%}{{ return(adapter.dispatch("days_between")(from_day, to_day)) }}{%- endmacro %}
{% macro default__days_between(from_day, to_day) -%}datediff('day', {{ from_day }}, {{ to_day }}){%- endmacro %}
{% macro hours_between(from_ts, to_ts) -%}{{ return(adapter.dispatch("hours_between")(from_ts, to_ts)) }}{%- endmacro %}
{% macro default__hours_between(from_ts, to_ts) -%}datediff('hour', {{ from_ts }}, {{ to_ts }}){%- endmacro %}

{#- A column with one row per step of a range, whose end is included, as TIMESTAMP or `type`. No row for an empty range. -#}
{% macro each_step(first, last, step, type=none) -%}
    {{ return(adapter.dispatch("each_step")(first, last, step, type)) }}
{%- endmacro %}
{% macro default__each_step(first, last, step, type) -%}
    unnest(generate_series({{ first }}, {{ last }}, interval {{ step }})){{ "::" ~ type if type }}
{%- endmacro %}

{#- A column with one row per day from one DATE to another, both included. -#}
{% macro each_day(first, last) -%}{{ return(adapter.dispatch("each_day")(first, last)) }}{%- endmacro %}
{% macro default__each_day(first, last) -%}
    {{ first }} + unnest(range(0, datediff('day', {{ first }}, {{ last }}) + 1))::integer
{%- endmacro %}

{#- A column with one row per number of a list of whole numbers. -#}
{% macro each_of(numbers) -%}{{ return(adapter.dispatch("each_of")(numbers)) }}{%- endmacro %}
{% macro default__each_of(numbers) -%}unnest([{{ numbers | join(", ") }}])::integer{%- endmacro %}

{#- 2^n as BIGINT, for an INTEGER n from 0 to 62. Not pow(), which returns a float. -#}
{% macro power_of_two(n) -%}{{ return(adapter.dispatch("power_of_two")(n)) }}{%- endmacro %}
{% macro default__power_of_two(n) -%}(1::bigint << ({{ n }})){%- endmacro %}

{#- An id without case, Unicode form, blanks, quotes and leading zeros. Ids that are equal by it may be meant to be the same. They
    are only reported, never matched. -#}
{% macro id_resemblance(id) -%}{{ return(adapter.dispatch("id_resemblance")(id)) }}{%- endmacro %}
{% macro default__id_resemblance(id) -%}
    regexp_replace(regexp_replace(lower(nfc_normalize({{ id }})), '[\s\p{Z}\p{Cf}''"`´‘’‚“”„]', '', 'g'), '(^|[^0-9])0+', '\1', 'g')
{%- endmacro %}

{#- A text as UTF-8 with percent signs for all but letters, digits and -._~ (RFC 3986). -#}
{% macro percent_encoded(text) -%}{{ return(adapter.dispatch("percent_encoded")(text)) }}{%- endmacro %}
{% macro default__percent_encoded(text) -%}url_encode({{ text }}){%- endmacro %}

{#- A JSON document without its strings. -#}
{% macro without_json_texts(document) -%}{{ return(adapter.dispatch("without_json_texts")(document)) }}{%- endmacro %}
{% macro default__without_json_texts(document) -%}regexp_replace({{ document }}, '"(?:[^"\\]|\\.)*"', '', 'g'){%- endmacro %}
