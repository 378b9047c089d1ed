{#-
    Exact numbers from JSON text. The vendor's numbers arrive as the text they were (`1E-3`, `0.10`, `"0.10"`), and
    stay text until here, because every shorter way leads through a binary float. What counts is the value:
    `0.1000000000` has one decimal, `1e9` has ten digits before the point, `-0` is zero.
-#}

{#- Whether a text is a number by JSON's grammar (rule 7): no blanks, no separators, no leading zeros or plus sign. -#}
{% macro is_json_number(text) -%}
    {{ full_match(text, "-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?") }}
{%- endmacro %}

{#- The digits of a JSON number without sign, point, exponent and the zeros around; empty for zero. -#}
{% macro json_number_significand(text) -%}
    trim(both '0' from replace(regexp_extract({{ text }}, '^-?([0-9.]+)', 1), '.', ''))
{%- endmacro %}

{#- e in `significand * 10^e`. An exponent beyond 64 bits counts as 10^15 of its sign, which is out of every range. -#}
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

{#- Whether a text is spelt as nearly all numbers are: digits, fewer than would be 10^whole_digits, and up to `scale` decimals. -#}
{% macro is_plain_number(text, scale, whole_digits) -%}
    {{ full_match(
        text, "(?:0|[1-9][0-9]{0," ~ (whole_digits - 1) ~ "})" ~ ("(?:[.][0-9]{1," ~ scale ~ "})?" if scale else "")
    ) }}
{%- endmacro %}

{#-
    A JSON number times 10^scale, exactly, as a wide integer. Null when the text is no JSON number, when the value has more
    than `scale` decimals, or when it is 10^whole_digits or more. whole_digits + scale must not exceed 37.
    Plain spellings, nearly all rows, take the short way; CASE evaluates the long one for the others only.
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
    A JSON number times 10^scale, rounded half away from zero, exactly, as a wide integer (rule 1). Null when the text is no JSON
    number, when it is negative (also where it would round to zero), or when it is 10^whole_digits or more, after rounding as well.
    Digits after the first one beyond the scale cannot change the result, so fixed_digits may cut them. whole_digits + scale must
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

{#- Whether a JSON number has more than `scale` decimals by value: `0.1000000000` has one. False for what is no number; never null. -#}
{% macro has_more_decimals(text, scale, whole_digits) -%}
    case
        when {{ text }} is null or {{ is_plain_number(text, scale, whole_digits) }} or not {{ is_json_number(text) }} then false
        when {{ json_number_significand(text) }} = '' then false
        else {{ json_number_exponent(text) }} < -{{ scale }}
    end
{%- endmacro %}

{#- Whether two JSON numbers differ by value, however many digits they have. An exponent beyond 32 bits counts as
    json_number_exponent has it. -#}
{% macro numbers_differ(text, other) -%}
    (
        {{ json_number_significand(text) }} <> {{ json_number_significand(other) }}
        or (
            -- Zero has no sign, and no exponent of its own.
            {{ json_number_significand(text) }} <> ''
            and (
                ({{ text }} like '-%') <> ({{ other }} like '-%')
                or {{ json_number_exponent(text) }} <> {{ json_number_exponent(other) }}
            )
        )
    )
{%- endmacro %}

{#- Why a credit amount is no good (rules 1 and 7), as the report's reason; null when it is fine. `nano`: what
    rounded_integer made of the text. -#}
{% macro credit_amount_error(text, nano) -%}
    case
        when {{ text }} is null then null
        when {{ nano }} >= 0 then null
        when not {{ is_json_number(text) }} then 'bad_cost'
        when {{ text }} like '-%' then 'negative_cost'
        else 'cost_too_large'
    end
{%- endmacro %}

{#- Nano-credits (an integer) as credits, DECIMAL(38,9): by a product, because decimal ÷ decimal is a float here. -#}
{% macro nano_to_credits(nano) -%}
    (({{ nano }})::decimal(29, 0) * 0.000000001::decimal(9, 9))
{%- endmacro %}

{#- Credits or an amount of money, DECIMAL with up to 9 decimals, as whole billionths, a wide integer. -#}
{% macro credits_to_nano(credits) -%}
    (({{ credits }})::decimal(38, 9) * 1000000000)::{{ wide_integer() }}
{%- endmacro %}

{#-
    numerator ÷ denominator, both whole and not negative, rounded half away from zero to `scale` decimals, exactly.
    The one place that rounds a ratio. Null when the denominator is null or zero.
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

{#- numerator ÷ denominator, both whole, the one not negative and the other positive, rounded up, a wide integer. Null when the
    denominator is zero. -#}
{% macro ratio_upwards(numerator, denominator) -%}
    {%- set wide = wide_integer() %}
    ({{ wide_quotient(
        "((" ~ numerator ~ ")::" ~ wide ~ " + (" ~ denominator ~ ")::" ~ wide ~ " - 1)",
        "nullif((" ~ denominator ~ ")::" ~ wide ~ ", 0)",
    ) }})
{%- endmacro %}

{#- A figure of the vendor's own, as DECIMAL(38,9): half away from zero where it has more decimals (it is compared,
    never billed). Null when it is no JSON number or out of range. -#}
{% macro vendor_figure(text) -%}
    case when {{ is_json_number(text) }} then try_cast({{ text }} as decimal(38, 9)) end
{%- endmacro %}

{#-
    A JSON number that is not negative, as text: so many digits before the point and so many behind it, without the point. What
    it has beyond is cut, never rounded. Null when the text is no JSON number, when it is negative, or when it is 10^whole_digits or
    more. Plain spellings take the short way.
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

{#- From where on a vendor's figure is taken for nonsense: sums of larger ones could leave the range of their type. -#}
{% macro largest_vendor_figure() -%}
    1000000000000000
{%- endmacro %}
