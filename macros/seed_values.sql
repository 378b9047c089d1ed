{#- Reads what people type into seeds, exactly. -#}

{#- A day typed as YYYY-MM-DD, as DATE; null when it is anything else. The grammar comes first because a cast alone
    accepts other spellings. -#}
{% macro seed_day(text) -%}
    case when {{ full_match(text, "[0-9]{4}-[0-9]{2}-[0-9]{2}") }} then try_cast({{ text }} as date) end
{%- endmacro %}

{#- An amount typed into a seed, as DECIMAL(18,9), exactly; null when it is no plain number, negative, has more than 9
    decimals, or is 10^9 or more. -#}
{% macro seed_amount(text) -%}
    {#- greatest() and nullif() make null of what is negative without a second copy of a long expression. -#}
    {{ nano_to_credits("nullif(greatest(" ~ scaled_integer(text, 9, 9) ~ ", -1), -1)") }}::decimal(18, 9)
{%- endmacro %}

{#- A count typed into a seed, as DECIMAL(18,9); null when it is no whole number, negative, or 10^9 or more. By value: 5.0
    is whole. -#}
{% macro seed_count(text) -%}
    nullif(greatest({{ scaled_integer(text, 0, 9) }}, -1), -1)::decimal(18, 9)
{%- endmacro %}
