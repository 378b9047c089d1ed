{#-
    What DuckDB and Spark spell differently: one macro a thing, with DuckDB's spelling beside it. Spark's spellings are in
    spark.sql. Models and other macros call these and know no engine.

    What both spell alike and take alike needs none. Mind what they only seem to: nulls sort last in DuckDB and first in Spark
    (say which wherever a key may be null), and sums of BIGINT are wider in DuckDB (wide_sum).
-#}

{#- Whether a build may go on from the last one (changes.sql): that takes transactions over several tables. -#}
{% macro keeps_history() -%}{{ return(adapter.dispatch("keeps_history")()) }}{%- endmacro %}
{% macro default__keeps_history() -%}{{ return(true) }}{%- endmacro %}

{#- The type of whole numbers of up to 38 digits. -#}
{% macro wide_integer() -%}{{ return(adapter.dispatch("wide_integer")()) }}{%- endmacro %}
{% macro default__wide_integer() -%}hugeint{%- endmacro %}

{#- The sum of a BIGINT, which may be wider than one. -#}
{% macro wide_sum(number) -%}{{ return(adapter.dispatch("wide_sum")(number)) }}{%- endmacro %}
{% macro default__wide_sum(number) -%}sum({{ number }}){%- endmacro %}

{#- numerator ÷ denominator without the fraction, for whole numbers of which the quotient fits a BIGINT. Null for a
    denominator that is null. -#}
{% macro whole_quotient(numerator, denominator) -%}
    {{ return(adapter.dispatch("whole_quotient")(numerator, denominator)) }}
{%- endmacro %}
{% macro default__whole_quotient(numerator, denominator) -%}{{ numerator }} // {{ denominator }}{%- endmacro %}

{#- The same where the quotient may be wider. -#}
{% macro wide_quotient(numerator, denominator) -%}
    {{ return(adapter.dispatch("wide_quotient")(numerator, denominator)) }}
{%- endmacro %}
{% macro default__wide_quotient(numerator, denominator) -%}{{ numerator }} // {{ denominator }}{%- endmacro %}

{#- Whether a pattern matches all of a text. The pattern holds no quote and no backslash, and means the same to both engines. -#}
{% macro full_match(text, pattern) -%}{{ return(adapter.dispatch("full_match")(text, pattern)) }}{%- endmacro %}
{% macro default__full_match(text, pattern) -%}regexp_full_match({{ text }}, '{{ pattern }}'){%- endmacro %}

{#- A plain number (digits, and perhaps a point and up to `scale` more) times 10^scale as a whole number, exactly. -#}
{% macro plain_number_scaled(text, scale, type) -%}
    {{ return(adapter.dispatch("plain_number_scaled")(text, scale, type)) }}
{%- endmacro %}
{#- From text to integer DuckDB counts digits, also with an exponent; a product of decimals would cost ten times as much. -#}
{% macro default__plain_number_scaled(text, scale, type) -%}
    try_cast({{ text }}{% if scale %} || 'e{{ scale }}'{% endif %} as {{ type }})
{%- endmacro %}

{#- A number that tells texts apart (not always: it has 20 bits), from 1 on; its value is the engine's own. -#}
{% macro text_weight(text) -%}{{ return(adapter.dispatch("text_weight")(text)) }}{%- endmacro %}
{% macro default__text_weight(text) -%}((hash({{ text }}) % 1048573)::bigint + 1){%- endmacro %}

{#- A number of 64 bits that is the same for the same values, nulls too; its value is the engine's own. -#}
{% macro row_digest(columns) -%}{{ return(adapter.dispatch("row_digest")(columns)) }}{%- endmacro %}
{% macro default__row_digest(columns) -%}hash({{ columns | join(", ") }}){%- endmacro %}

{#- At the end of what fills a large table: rows of a user's period side by side, so that who asks for a few of them passes over
    the others a block at a time. By a number, which sorts at next to no cost; its value is the engine's own. -#}
{% macro order_by_user_period() -%}{{ return(adapter.dispatch("order_by_user_period")()) }}{%- endmacro %}
{% macro default__order_by_user_period() -%}order by hash(external_user_id, billing_period){%- endmacro %}

{#- A text with a question mark for each control character. -#}
{% macro without_controls(text) -%}{{ return(adapter.dispatch("without_controls")(text)) }}{%- endmacro %}
{% macro default__without_controls(text) -%}regexp_replace({{ text }}, '[[:cntrl:]]', '?', 'g'){%- endmacro %}

{#- A value of the project (a variable, a path) as an SQL text: none can end it. -#}
{% macro text_literal(value) -%}{{ return(adapter.dispatch("text_literal")(value)) }}{%- endmacro %}
{% macro default__text_literal(value) -%}'{{ value | string | replace("'", "''") }}'{%- endmacro %}

{#- SHA-256 of a text, in hex. -#}
{% macro sha256(text) -%}{{ return(adapter.dispatch("sha256")(text)) }}{%- endmacro %}
{% macro default__sha256(text) -%}sha256({{ text }}){%- endmacro %}

{#- The texts of a group behind each other, in an order. -#}
{% macro joined_texts(text, separator, order_by) -%}
    {{ return(adapter.dispatch("joined_texts")(text, separator, order_by)) }}
{%- endmacro %}
{% macro default__joined_texts(text, separator, order_by) -%}
    string_agg({{ text }}, '{{ separator }}' order by {{ order_by }})
{%- endmacro %}

{#- The value of a group's row with the highest place; a null value is one. -#}
{% macro value_at_highest(value, place) -%}{{ return(adapter.dispatch("value_at_highest")(value, place)) }}{%- endmacro %}
{% macro default__value_at_highest(value, place) -%}arg_max_null({{ value }}, {{ place }}){%- endmacro %}

{#- Fails with a text where it is evaluated. -#}
{% macro fail_with(text) -%}{{ return(adapter.dispatch("fail_with")(text)) }}{%- endmacro %}
{% macro default__fail_with(text) -%}error({{ text }}){%- endmacro %}

{#- The join that keeps rows with a partner, once. -#}
{% macro semi_join() -%}{{ return(adapter.dispatch("semi_join")()) }}{%- endmacro %}
{% macro default__semi_join() -%}semi join{%- endmacro %}

{#- The join that keeps rows without one. -#}
{% macro anti_join() -%}{{ return(adapter.dispatch("anti_join")()) }}{%- endmacro %}
{% macro default__anti_join() -%}anti join{%- endmacro %}

{#- Microseconds since 1970 of a TIMESTAMP, BIGINT. -#}
{% macro epoch_us(moment) -%}{{ return(adapter.dispatch("epoch_us")(moment)) }}{%- endmacro %}
{% macro default__epoch_us(moment) -%}epoch_us({{ moment }}){%- endmacro %}

{#- The TIMESTAMP of so many microseconds since 1970. -#}
{% macro from_epoch_us(microseconds) -%}{{ return(adapter.dispatch("from_epoch_us")(microseconds)) }}{%- endmacro %}
{% macro default__from_epoch_us(microseconds) -%}make_timestamp({{ microseconds }}){%- endmacro %}

{#- The start, a TIMESTAMP, of a billing period `YYYY-MM`. -#}
{% macro period_start(period) -%}{{ return(adapter.dispatch("period_start")(period)) }}{%- endmacro %}
{% macro default__period_start(period) -%}strptime({{ period }}, '%Y-%m'){%- endmacro %}

{#- Whole days, or hours, from one midnight, or full hour, to another, BIGINT. -#}
{% macro days_between(from_day, to_day) -%}{{ return(adapter.dispatch("days_between")(from_day, to_day)) }}{%- endmacro %}
{% macro default__days_between(from_day, to_day) -%}datediff('day', {{ from_day }}, {{ to_day }}){%- endmacro %}
{% macro hours_between(from_ts, to_ts) -%}{{ return(adapter.dispatch("hours_between")(from_ts, to_ts)) }}{%- endmacro %}
{% macro default__hours_between(from_ts, to_ts) -%}datediff('hour', {{ from_ts }}, {{ to_ts }}){%- endmacro %}

{#- A column, in a row for each step of a range whose end belongs to it, as TIMESTAMP or `type`. No row for an empty range. -#}
{% macro each_step(first, last, step, type=none) -%}
    {{ return(adapter.dispatch("each_step")(first, last, step, type)) }}
{%- endmacro %}
{% macro default__each_step(first, last, step, type) -%}
    unnest(generate_series({{ first }}, {{ last }}, interval {{ step }})){{ "::" ~ type if type }}
{%- endmacro %}

{#- A column, in a row for each day from one DATE to another, both included. -#}
{% macro each_day(first, last) -%}{{ return(adapter.dispatch("each_day")(first, last)) }}{%- endmacro %}
{% macro default__each_day(first, last) -%}
    {{ first }} + unnest(range(0, datediff('day', {{ first }}, {{ last }}) + 1))::integer
{%- endmacro %}

{#- A column, in a row for each of some whole numbers. -#}
{% macro each_of(numbers) -%}{{ return(adapter.dispatch("each_of")(numbers)) }}{%- endmacro %}
{% macro default__each_of(numbers) -%}unnest([{{ numbers | join(", ") }}])::integer{%- endmacro %}

{#- What remains of an id without case, accents in another form, blanks, quotes and leading zeros: ids that a person may have meant to be the same.
    Only ever shown, never used to match. -#}
{% macro id_resemblance(id) -%}{{ return(adapter.dispatch("id_resemblance")(id)) }}{%- endmacro %}
{% macro default__id_resemblance(id) -%}
    regexp_replace(regexp_replace(lower(nfc_normalize({{ id }})), '[\s\p{Z}\p{Cf}''"`´‘’‚“”„]', '', 'g'), '(^|[^0-9])0+', '\1', 'g')
{%- endmacro %}
