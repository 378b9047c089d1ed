{#- Parts of messages that users read. -#}

{#- A decimal without trailing zeros, as people write it. -#}
{% macro plain_number(amount) -%}
    trim(trailing '.' from trim(trailing '0' from ({{ amount }})::string))
{%- endmacro %}

{#- A text for a message: in quotes, on one line, at most 100 characters. -#}
{% macro quoted_for_message(text) -%}
    ('''' || {{ without_controls("left(" ~ text ~ ", 100)") }} || '''')
{%- endmacro %}

{#- A post-hook for a model that lists errors of the seeds: stops the build with the first five errors as its message. It says which command
    comes next, because `dbt retry` would not load the corrected seeds. -#}
{% macro stop_on_errors(subject) %}
    select {{ fail_with("'" ~ subject ~ ", correct the seeds, then run dbt build: ' || errors.messages") }}
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

{#- The user or plan of a row, as messages name it. -#}
{% macro label(kind, text) -%}
    '{{ kind }} ' || coalesce({{ quoted_for_message(text) }}, 'without an id')
{%- endmacro %}
