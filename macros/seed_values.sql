{#- Reads values from seeds exactly. -#}

{#- A day like 2026-10-31 as DATE; null if it is anything else. The pattern is checked first, because a cast alone accepts
    other spellings. -#}
{% macro seed_day(text) -%}
    case when {{ full_match(text, "[0-9]{4}-[0-9]{2}-[0-9]{2}") }} then try_cast({{ text }} as date) end
{%- endmacro %}

{#- An amount as DECIMAL(18,9), exactly; null if it is not a number, is negative, has more than 9 decimals, or is 10^9 or
    more. -#}
{% macro seed_amount(text) -%}
    {#- greatest() and nullif() turn a negative value into null without a second copy of a long expression. -#}
    {{ nano_to_credits("nullif(greatest(" ~ scaled_integer(text, 9, 9) ~ ", -1), -1)") }}::decimal(18, 9)
{%- endmacro %}

{#- A count as DECIMAL(18,9); null if it is not a whole number, is negative, or is 10^9 or more. The value counts: 5.0 is
    whole. -#}
{% macro seed_count(text) -%}
    nullif(greatest({{ scaled_integer(text, 0, 9) }}, -1), -1)::decimal(18, 9)
{%- endmacro %}
