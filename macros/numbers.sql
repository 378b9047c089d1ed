{#-
    Exact numbers from JSON text. Raw keeps the vendor's numbers as text (`1E-3`, `0.10`, `"0.10"`), and they stay text until
    here, because any shorter way would use a binary float. Only the value counts: `0.1000000000` has one decimal, `1e9` has
    ten digits before the point, `-0` is zero.
-#}

{#- Whether a text is a number by JSON's grammar (rule 7): no blanks, separators, leading zeros or plus sign. -#}
{% macro is_json_number(text) -%}
    {{ full_match(text, "-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?") }}
{%- endmacro %}

{#- The digits of a JSON number without sign, point, exponent, and leading and trailing zeros; empty for zero. -#}
{% macro json_number_significand(text) -%}
    trim(both '0' from replace(regexp_extract({{ text }}, '^-?([0-9.]+)', 1), '.', ''))
{%- endmacro %}

{#- e in `significand * 10^e`. An exponent that does not fit an integer counts as ±10^15, which is out of every range. -#}
{% macro json_number_exponent(text) -%}
    (
        coalesce(
            try_cast(nullif(regexp_extract({{ text }}, '[eE]([+-]?[0-9]+)$', 1), '') as integer),
            case
                when lower({{ text }}) like '%e-%' then -1000000000000000
                when lower({{ text }}) like '%e%' then 1000000000000000
                else 0
            end
        )::bigint
        - length(regexp_extract({{ text }}, '[.]([0-9]+)', 1))
        + length(replace(regexp_extract({{ text }}, '^-?([0-9.]+)', 1), '.', ''))
        - length(trim(trailing '0' from replace(regexp_extract({{ text }}, '^-?([0-9.]+)', 1), '.', '')))
    )
{%- endmacro %}

{#- Whether a text has the usual spelling of a number: no sign or exponent, at most whole_digits digits before the point, and at most
    `scale` decimals. -#}
{% macro is_plain_number(text, scale, whole_digits) -%}
    {{ full_match(
        text, "(?:0|[1-9][0-9]{0," ~ (whole_digits - 1) ~ "})" ~ ("(?:[.][0-9]{1," ~ scale ~ "})?" if scale else "")
    ) }}
{%- endmacro %}

{#-
    A JSON number times 10^scale, exactly, as a wide integer. Null if the text is not a JSON number, if the value has more
    than `scale` decimals, or if it is 10^whole_digits or more. whole_digits + scale must not exceed 37.
    Nearly all rows have the usual spelling and take the fast branch; CASE evaluates the slow one only for the others.
-#}
{% macro scaled_integer(text, scale, whole_digits) -%}
    {%- set significand = json_number_significand(text) -%}
    {%- set exponent = json_number_exponent(text) -%}
    case
        when {{ is_plain_number(text, scale, whole_digits) }}
            then {{ plain_number_scaled(
                text, scale, "bigint" if whole_digits + scale <= 18 else wide_integer()
            ) }}::{{ wide_integer() }}
        when not {{ is_json_number(text) }} then null
        when {{ significand }} = '' then 0::{{ wide_integer() }}
        when {{ exponent }} + {{ scale }} < 0 then null
        when length({{ significand }}) + {{ exponent }} > {{ whole_digits }} then null
        else
            try_cast(
                case when {{ text }} like '-%' then '-' else '' end
                || {{ significand }}
                || repeat('0', ({{ exponent }} + {{ scale }})::bigint)
                as {{ wide_integer() }}
            )
    end
{%- endmacro %}

{#-
    A JSON number times 10^scale, rounded half away from zero, exactly, as a wide integer (rule 1). Null if the text is not a JSON
    number, if it is negative (even if it would round to zero), or if it is 10^whole_digits or more, before or after rounding.
    Only the first digit beyond the scale can change the result, so fixed_digits may cut off the rest. whole_digits + scale must
    not exceed 18.
-#}
{% macro rounded_integer(text, scale, whole_digits) -%}
    {%- set wide = wide_integer() -%}
    {%- set limit = "1" ~ "0" * (whole_digits + scale) ~ "::" ~ wide -%}
    case
        when {{ is_plain_number(text, scale, whole_digits) }}
            then {{ plain_number_scaled(text, scale, "bigint" if whole_digits + scale <= 18 else wide) }}::{{ wide }}
        else
            nullif(least(({{ whole_quotient(
                "(try_cast(" ~ fixed_digits(text, whole_digits, scale + 1) ~ " as " ~ wide ~ ") + 5::" ~ wide ~ ")",
                "10::" ~ wide,
            ) }})::{{ wide }}, {{ limit }}), {{ limit }})
    end
{%- endmacro %}

{#- Whether a JSON number has more than `scale` significant decimals: `0.1000000000` has one. False if it is not a number; never null. -#}
{% macro has_more_decimals(text, scale, whole_digits) -%}
    case
        when {{ text }} is null or {{ is_plain_number(text, scale, whole_digits) }} or not {{ is_json_number(text) }} then false
        when {{ json_number_significand(text) }} = '' then false
        else {{ json_number_exponent(text) }} < -{{ scale }}
    end
{%- endmacro %}

{#- Whether two JSON numbers differ by value, however many digits they have. Huge exponents count as in
    json_number_exponent. -#}
{% macro numbers_differ(text, other) -%}
    (
        {{ json_number_significand(text) }} <> {{ json_number_significand(other) }}
        or (
            -- Sign and exponent of a zero do not matter.
            {{ json_number_significand(text) }} <> ''
            and (
                ({{ text }} like '-%') <> ({{ other }} like '-%')
                or {{ json_number_exponent(text) }} <> {{ json_number_exponent(other) }}
            )
        )
    )
{%- endmacro %}

{#- The reason to reject a credit amount (rules 1 and 7), as reported in rpt_rejected_rows; null if it is valid. `nano`: the
    result of rounded_integer for the text. -#}
{% macro credit_amount_error(text, nano) -%}
    case
        when {{ text }} is null then null
        when {{ nano }} >= 0 then null
        when not {{ is_json_number(text) }} then 'bad_cost'
        when {{ text }} like '-%' then 'negative_cost'
        else 'cost_too_large'
    end
{%- endmacro %}

{#- Nano-credits (an integer) as credits, DECIMAL(38,9). A product, because DuckDB divides decimals as floats. -#}
{% macro nano_to_credits(nano) -%}
    (({{ nano }})::decimal(29, 0) * 0.000000001::decimal(9, 9))
{%- endmacro %}

{#- Credits or an amount of money (DECIMAL with up to 9 decimals) as whole billionths, a wide integer. -#}
{% macro credits_to_nano(credits) -%}
    (({{ credits }})::decimal(38, 9) * 1000000000)::{{ wide_integer() }}
{%- endmacro %}

{#-
    numerator ÷ denominator, both whole and not negative, rounded half away from zero to `scale` decimals, exactly.
    The only place that rounds a ratio. Null if the denominator is null or zero.
-#}
{% macro rounded_ratio(numerator, denominator, scale, type) -%}
    {%- set wide = wide_integer() %}
    (
        (
            {{ wide_quotient(
                "((" ~ numerator ~ ")::" ~ wide ~ " * 2" ~ "0" * scale ~ "::" ~ wide ~ " + (" ~ denominator ~ ")::" ~ wide ~ ")",
                "nullif((" ~ denominator ~ ")::" ~ wide ~ " * 2, 0)",
            ) }}
        )::decimal(38, 0)
        * 0.{{ "0" * (scale - 1) }}1::decimal({{ scale }}, {{ scale }})
    )::{{ type }}
{%- endmacro %}

{#- numerator ÷ denominator, both whole and not negative, rounded up, as a wide integer. Null if the denominator is zero. -#}
{% macro ratio_upwards(numerator, denominator) -%}
    {%- set wide = wide_integer() %}
    ({{ wide_quotient(
        "((" ~ numerator ~ ")::" ~ wide ~ " + (" ~ denominator ~ ")::" ~ wide ~ " - 1)",
        "nullif((" ~ denominator ~ ")::" ~ wide ~ ", 0)",
    ) }})
{%- endmacro %}

{#- A figure of the vendor's rollup or summary as DECIMAL(38,9). More decimals are rounded half away from zero, because it is
    compared, never billed. Null if it is not a JSON number or out of range. -#}
{% macro vendor_figure(text) -%}
    case when {{ is_json_number(text) }} then try_cast({{ text }} as decimal(38, 9)) end
{%- endmacro %}

{#-
    US dollars in JSON text as credits, exactly, DECIMAL(38,9): 1 credit is 1 cent, so a nano-credit is 10^-11 dollars. Null if the
    text is not a JSON number, if it has more decimals than that, or if it is 10^13 or more (10^15 credits).
-#}
{% macro dollars_to_credits(text) -%}
    {{ nano_to_credits(scaled_integer(text, 11, 13)) }}
{%- endmacro %}

{#- Whether an amount in dollars has more decimals than nano-credits can hold. Never null. -#}
{% macro is_finer_than_nano(text) -%}
    {{ has_more_decimals(text, 11, 13) }}
{%- endmacro %}

{#-
    A JSON number that is not negative, as text without the point: exactly whole_digits digits before the point and `decimals`
    digits after it. Further decimals are cut off, never rounded. Null if the text is not a JSON number, if it is negative, or if
    it is 10^whole_digits or more. The usual spelling takes a fast branch.
-#}
{% macro fixed_digits(text, whole_digits, decimals) -%}
    {%- set significand = json_number_significand(text) -%}
    {%- set exponent = json_number_exponent(text) -%}
    case
        when {{ full_match(text, "(?:0|[1-9][0-9]{0," ~ (whole_digits - 1) ~ "})(?:[.][0-9]+)?") }}
            -- Twice as fast as lpad and rpad.
            then right('{{ "0" * whole_digits }}' || split_part({{ text }}, '.', 1), {{ whole_digits }})
                || left(split_part({{ text }}, '.', 2) || '{{ "0" * decimals }}', {{ decimals }})
        when not {{ is_json_number(text) }} then null
        when {{ significand }} = '' then repeat('0', {{ whole_digits + decimals }})
        when {{ text }} like '-%' then null
        when length({{ significand }}) + {{ exponent }} > {{ whole_digits }} then null
        else
            lpad(
                left(
                    {{ significand }} || repeat('0', greatest({{ exponent }} + {{ decimals }}, 0)::bigint),
                    greatest(length({{ significand }}) + {{ exponent }} + {{ decimals }}, 0)::bigint
                ),
                {{ whole_digits + decimals }},
                '0'
            )
    end
{%- endmacro %}

{#- Vendor figures of this size or more are rejected, because their sums could leave the range of their type. -#}
{% macro largest_vendor_figure() -%}
    1000000000000000
{%- endmacro %}
