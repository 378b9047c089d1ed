{#- Reads variables of dbt_project.yml, and fails with a message on invalid values. -#}

{#- A variable as an SQL text, or null if it is not set. Quoted, so that no value can end the text. -#}
{% macro text_variable(name) -%}
    {%- set value = var(name, none) -%}
    {%- if value is none or value | string | length == 0 -%}
        null::string
    {%- else -%}
        {{ text_literal(value) }}
    {%- endif -%}
{%- endmacro %}

{#- Whether a text is the name of a billing period (rule 11). -#}
{% macro names_a_period(text) -%}
    {{ return(modules.re.fullmatch("[0-9]{4}-(0[1-9]|1[0-2])", text) is not none) }}
{%- endmacro %}

{#- A variable that names a billing period, as an SQL text or null. Fails with a message if it is not a billing period. -#}
{% macro period_variable(name) -%}
    {%- set value = var(name, none) | string -%}
    {%- if var(name, none) is not none and value | length > 0 and not names_a_period(value) -%}
        {{ exceptions.raise_compiler_error(
            "the variable " ~ name ~ " is '" ~ value ~ "': it must be a billing period like \"2026-10\", in quotes"
        ) }}
    {%- endif -%}
    {{ text_variable(name) }}
{%- endmacro %}

{#- A variable that is an amount, as an exact SQL number: a text like "0.01", because a bare number would be a float. -#}
{% macro amount_variable(name) -%}
    {%- set value = var(name) -%}
    {%- if value is not string or not modules.re.fullmatch("[0-9]{1,9}([.][0-9]{1,9})?", value) -%}
        {{ exceptions.raise_compiler_error(
            "the variable " ~ name ~ " is " ~ value ~ ": it must be an amount in quotes, like \"0.01\", with at most 9 decimals"
        ) }}
    {%- endif -%}
    '{{ value }}'::decimal(18, 9)
{%- endmacro %}

{#- A variable that is a number, not negative, as an exact SQL number: 20, 12.5, or a text like these. -#}
{% macro number_variable(name) -%}
    {%- set value = var(name) | string -%}
    {%- if not modules.re.fullmatch("[0-9]{1,9}([.][0-9]{1,9})?", value) -%}
        {{ exceptions.raise_compiler_error(
            "the variable " ~ name ~ " is '" ~ value ~ "': it must be a number like 20 or 12.5, not negative"
        ) }}
    {%- endif -%}
    '{{ value }}'::decimal(18, 9)
{%- endmacro %}

{#- A variable that is a whole number from 1, as text. -#}
{% macro whole_number_variable(name) -%}
    {%- set value = var(name) | string -%}
    {%- if not modules.re.fullmatch("[1-9][0-9]{0,4}", value) -%}
        {{ exceptions.raise_compiler_error(
            "the variable " ~ name ~ " is '" ~ value ~ "': it must be a whole number from 1 to 99999"
        ) }}
    {%- endif -%}
    {{ value }}
{%- endmacro %}

{#- The value of a variable that is one of a few words. Fails with a message that lists them otherwise. -#}
{% macro word_variable(name, words) -%}
    {%- if var(name) not in words -%}
        {{ exceptions.raise_compiler_error(
            "the variable " ~ name ~ " is '" ~ var(name) ~ "': it must be " ~ words[:-1] | join(", ") ~ " or " ~ words[-1]
        ) }}
    {%- endif -%}
    {{ return(var(name)) }}
{%- endmacro %}

{#- The variable of the same name: when the vendor books what a session costs. -#}
{% macro vendor_spend_booking() -%}
    {{ return(word_variable("vendor_spend_booking", ["split", "start", "end"])) }}
{%- endmacro %}

{#- The value of a variable that is true or false, or a text like these. Fails with a message otherwise. -#}
{% macro is_set(name) -%}
    {%- set value = var(name) | string | lower -%}
    {%- if value not in ("true", "false") -%}
        {{ exceptions.raise_compiler_error("the variable " ~ name ~ " is '" ~ value ~ "': it must be true or false") }}
    {%- endif -%}
    {{ return(value == "true") }}
{%- endmacro %}

{#- The variable of the same name. Fails with a message if it is not one of the three ways of counting (rule 33). -#}
{% macro vendor_attribution() -%}
    {%- set way = var("vendor_attribution") -%}
    {%- if way not in ("split", "start", "end") -%}
        {{ exceptions.raise_compiler_error(
            "the variable vendor_attribution is '" ~ way ~ "': it must be split, start or end"
        ) }}
    {%- endif -%}
    {{ way }}
{%- endmacro %}

{#- A row of the vendor's as it came, or null if the variable show_payloads is false: it may name people. -#}
{% macro shown_payload(payload) -%}
    {{ payload if is_set("show_payloads") else "null::string" }}
{%- endmacro %}
