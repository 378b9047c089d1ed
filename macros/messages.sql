{#- Parts of messages that users read. -#}

{#- A decimal as people write it: without the zeros behind its last digit. -#}
{% macro plain_number(amount) -%}
    trim(trailing '.' from trim(trailing '0' from ({{ amount }})::string))
{%- endmacro %}

{#- A name in a message: in quotes, on one line, not endlessly long. -#}
{% macro quoted_for_message(text) -%}
    ('''' || {{ without_controls("left(" ~ text ~ ", 100)") }} || '''')
{%- endmacro %}

{#- Stops the build after a model that lists errors, with the first of them in a sentence. -#}
{% macro stop_on_errors(subject) %}
    select {{ fail_with("'" ~ subject ~ ": ' || errors.messages") }}
    from (
        select
            {{ joined_texts("case when error_number <= 5 then coalesce(message, error) end", "; ", "error_number") }}
            || case
                when count(*) > 5
                    then '; and ' || (count(*) - 5) || ' more: select * from {{ this.schema }}.{{ this.identifier }}'
                else ''
            end as messages
        from {{ this }}
        having count(*) > 0
    ) as errors
{% endmacro %}

{#- How a message names the user or the plan of a row. -#}
{% macro label(kind, text) -%}
    '{{ kind }} ' || coalesce({{ quoted_for_message(text) }}, 'without an id')
{%- endmacro %}
