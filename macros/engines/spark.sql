{#-
    Spark's spellings of what spellings.sql, json.sql and times.sql name. They rest on the settings of the target `spark` in
    profiles.yml: ANSI mode, so that an overflow fails instead of becoming null; decimals that keep their scale or fail; UTC.
-#}

{% macro spark__keeps_history() -%}{{ return(false) }}{%- endmacro %}

{% macro spark__wide_integer() -%}decimal(38, 0){%- endmacro %}

{#- A sum of BIGINT is a BIGINT here, a decimal's is ten digits wider. -#}
{% macro spark__wide_sum(number) -%}sum(({{ number }})::decimal(28, 0)){%- endmacro %}

{% macro spark__whole_quotient(numerator, denominator) -%}({{ numerator }} div {{ denominator }}){%- endmacro %}

{#-
    `div` gives a BIGINT, and a quotient of decimals is rounded; so the remainder goes first, and what divides evenly is exact.
    The more digits a divisor's type has, the fewer the quotient's has before the point: 34 and 28 here. Divisors of more than 20
    digits leave quotients that fit a BIGINT.
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

{#- Java's `$` would let a line feed pass behind the text. -#}
{% macro spark__full_match(text, pattern) -%}({{ text }} rlike r'\A(?:{{ pattern }})\z'){%- endmacro %}

{#- The digits before the point and, filled up, those after it. -#}
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

{#- To sort a table as a whole would move all of it between the workers. -#}
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

{#- An end before the start is refused by sequence(). -#}
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

{% macro spark__each_of(numbers) -%}explode(array({{ numbers | join(", ") }})){%- endmacro %}

{#- The first seven characters of `YYYY-MM-DD…`; a format would have to be worked out row by row. -#}
{% macro spark__billing_period(moment) -%}left(({{ moment }})::string, 7){%- endmacro %}

{#- Read by its line_usage, because a cast takes offsets up to 18 hours only. What is not there counts nothing. -#}
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

{#- Without normal forms, which Spark has no function for. -#}
{% macro spark__id_resemblance(id) -%}
    regexp_replace(regexp_replace(lower({{ id }}), r'[\s\p{Z}\p{Cf}\x27\x22`´‘’‚“”„]', ''), '(^|[^0-9])0+', '$1')
{%- endmacro %}
