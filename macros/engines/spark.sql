{#-
    Spark's versions of the macros in spellings.sql, json.sql and times.sql. They rely on the settings of the target `spark` in
    profiles.yml: ANSI mode, so that an overflow fails instead of becoming null; decimals that keep their scale or fail; UTC.
-#}

{% macro spark__keeps_history() -%}{{ return(false) }}{%- endmacro %}

{#- Hive's metastore keeps at most 32,672 characters of a view. -#}
{% macro spark__long_view() -%}{{ return("table") }}{%- endmacro %}

{% macro spark__wide_integer() -%}decimal(38, 0){%- endmacro %}

{#- In Spark a sum of BIGINT is a BIGINT; a sum of decimals is ten digits wider. -#}
{% macro spark__wide_sum(number) -%}sum(({{ number }})::decimal(28, 0)){%- endmacro %}

{% macro spark__whole_quotient(numerator, denominator) -%}({{ numerator }} div {{ denominator }}){%- endmacro %}

{#-
    `div` returns a BIGINT, and a quotient of decimals is rounded. So the remainder is subtracted first, and the division is exact.
    The more digits the divisor's type has, the fewer digits the quotient has before the point: 34 and 28 here. Quotients by
    divisors of more than 20 digits fit a BIGINT.
-#}
{% macro spark__wide_quotient(numerator, denominator) -%}
    case
        when abs({{ denominator }}) < 1000000000 then (
            (({{ numerator }}) - ({{ numerator }}) % ({{ denominator }}))::decimal(38, 0)
            / try_cast({{ denominator }} as decimal(9, 0))
        )::decimal(38, 0)
        when abs({{ denominator }}) < 100000000000000000000 then (
            (({{ numerator }}) - ({{ numerator }}) % ({{ denominator }}))::decimal(38, 0)
            / try_cast({{ denominator }} as decimal(20, 0))
        )::decimal(38, 0)
        else (({{ numerator }}) div ({{ denominator }}))::decimal(38, 0)
    end
{%- endmacro %}

{#- Java's `$` also matches before a line feed at the end of the text, so the pattern ends with `\z`. -#}
{% macro spark__full_match(text, pattern) -%}({{ text }} rlike r'\A(?:{{ pattern }})\z'){%- endmacro %}

{#- The digits before the point, followed by those after it, padded with zeros. -#}
{% macro spark__plain_number_scaled(text, scale, type) -%}
    try_cast(
        {% if scale -%}
        case
            when contains({{ text }}, '.')
                then replace({{ text }}, '.', '')
                    || left('{{ "0" * scale }}', {{ scale }} - length(split_part({{ text }}, '.', 2)))
            else {{ text }} || '{{ "0" * scale }}'
        end
        {%- else %}{{ text }}{% endif %} as {{ type }}
    )
{%- endmacro %}

{% macro spark__row_digest(columns) -%}xxhash64({{ columns | join(", ") }}){%- endmacro %}
{% macro spark__text_weight(text) -%}(pmod(xxhash64({{ text }}), 1048573) + 1){%- endmacro %}

{#- Sorting a whole table would move all of it between the workers. -#}
{% macro spark__order_by_user_period() -%}{%- endmacro %}

{% macro spark__without_controls(text) -%}regexp_replace({{ text }}, r'\p{Cntrl}', '?'){%- endmacro %}

{% macro spark__text_literal(value) -%}'{{ value | string | replace("\\", "\\\\") | replace("'", "\\'") }}'{%- endmacro %}

{% macro spark__sha256(text) -%}sha2({{ text }}, 256){%- endmacro %}

{% macro spark__joined_texts(text, separator, order_by) -%}
    string_agg({{ text }}, '{{ separator }}') within group (order by {{ order_by }})
{%- endmacro %}

{% macro spark__value_at_highest(value, place) -%}max_by({{ value }}, {{ place }}){%- endmacro %}

{% macro spark__fail_with(text) -%}raise_error({{ text }}){%- endmacro %}

{% macro spark__semi_join() -%}left semi join{%- endmacro %}

{% macro spark__anti_join() -%}left anti join{%- endmacro %}

{% macro spark__epoch_us(moment) -%}unix_micros({{ moment }}){%- endmacro %}

{% macro spark__from_epoch_us(microseconds) -%}timestamp_micros({{ microseconds }}){%- endmacro %}

{% macro spark__period_start(period) -%}({{ period }} || '-01')::timestamp{%- endmacro %}

{% macro spark__days_between(from_day, to_day) -%}timestampdiff(day, {{ from_day }}, {{ to_day }}){%- endmacro %}

{% macro spark__hours_between(from_ts, to_ts) -%}timestampdiff(hour, {{ from_ts }}, {{ to_ts }}){%- endmacro %}

{#- sequence() fails if the end is before the start. -#}
{% macro spark__each_step(first, last, step, type) -%}
    explode(
        case
            when ({{ first }})::timestamp <= ({{ last }})::timestamp
                then transform(
                    sequence(({{ first }})::timestamp, ({{ last }})::timestamp, interval {{ step }}),
                    step -> step::{{ type or "timestamp" }}
                )
        end
    )
{%- endmacro %}

{% macro spark__each_day(first, last) -%}
    explode(case when {{ first }} <= {{ last }} then sequence({{ first }}, {{ last }}, interval 1 day) end)
{%- endmacro %}

{% macro spark__power_of_two(n) -%}shiftleft(1::bigint, {{ n }}){%- endmacro %}

{% macro spark__each_of(numbers) -%}explode(array({{ numbers | join(", ") }})){%- endmacro %}

{#- The first seven characters of `YYYY-MM-DD…`, which is faster than a format pattern. -#}
{% macro spark__billing_period(moment) -%}left(({{ moment }})::string, 7){%- endmacro %}

{#- Date, time and offset are read separately, because a cast accepts offsets up to 18 hours only. Missing parts count as zero. -#}
{% macro spark__read_time(text) -%}
    {%- set offset = "'^.{16}.*([+-][0-9]{2}):?([0-9]{2})?$'" %}
    timestamp_micros(
        unix_micros(
            try_cast(
                left({{ text }}, 10) || ' '
                || coalesce(nullif(regexp_extract({{ text }}, '^.{11}([0-9]{2}:[0-9]{2})', 1), ''), '00:00')
                || coalesce(nullif(regexp_extract({{ text }}, '^.{16}(:[0-9]{2})', 1), ''), ':00')
                || left(replace(regexp_extract({{ text }}, '^.{19}([.,][0-9]+)', 1), ',', '.'), 7)
                as timestamp
            )
        )
        - coalesce(try_cast(regexp_extract({{ text }}, {{ offset }}, 1) as bigint), 0) * 3600000000
        - coalesce(
            try_cast(
                left(regexp_extract({{ text }}, {{ offset }}, 1), 1) || regexp_extract({{ text }}, {{ offset }}, 2) as bigint
            ),
            0
        ) * 60000000
    )
{%- endmacro %}

{#- Without Unicode normalization, for which Spark has no function. -#}
{% macro spark__id_resemblance(id) -%}
    regexp_replace(regexp_replace(lower({{ id }}), r'[\s\p{Z}\p{Cf}\x27\x22`´‘’‚“”„]', ''), '(^|[^0-9])0+', '$1')
{%- endmacro %}

{#- Every build on Spark is one in full, so the strategy is never used; dbt-spark accepts only its own. -#}
{% macro spark__replace_changed() %}{{ return("append") }}{% endmacro %}

{#- Java encodes forms: a plus sign for a blank, an asterisk as it is, and a tilde encoded. -#}
{% macro spark__percent_encoded(text) -%}
    replace(replace(replace(url_encode({{ text }}), '+', '%20'), '*', '%2A'), '%7E', '~')
{%- endmacro %}

{#- The pattern has its backslashes doubled, because Spark reads escapes in texts. -#}
{% macro spark__without_json_texts(document) -%}regexp_replace({{ document }}, '"(?:[^"\\\\]|\\\\.)*"', ''){%- endmacro %}
