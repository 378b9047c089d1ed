{#-
    Reading JSON text without a float on the way. Facts about DuckDB that these macros rest on, each pinned by a unit
    test: a structure with a DECIMAL field keeps the text of every number as it was (without one, numbers go through a
    double); a VARCHAR field gives a string's content or a number's text; a JSON field keeps the quotes, and so tells
    a string from a number.
-#}

{#- The named fields of an object as a STRUCT of texts, in one parse. `texts`: content of whatever is there, numbers
    as their text. `values`: JSON text, to be read with json_string. Missing and null fields are null. -#}
{% macro json_fields(document, texts=[], values=[]) -%}
    from_json(
        {{ document }},
        '{ {%- for name in texts %}"{{ name }}":"VARCHAR",{% endfor -%}
        {%- for name in values %}"{{ name }}":"JSON",{% endfor -%} "keep number texts":"DECIMAL(1,0)"}'
    )
{%- endmacro %}

{#- The objects of a JSON array as a list of such STRUCTs. -#}
{% macro json_objects(document, texts=[], values=[]) -%}
    from_json(
        {{ document }},
        '[{ {%- for name in texts %}"{{ name }}":"VARCHAR",{% endfor -%}
        {%- for name in values %}"{{ name }}":"JSON",{% endfor -%} "keep number texts":"DECIMAL(1,0)"}]'
    )
{%- endmacro %}

{#- An id (rule 9): the content of a JSON string; null when it is anything else, or empty. Never trimmed or folded. -#}
{% macro json_id(value) -%}
    case
        when {{ value }}::varchar in ('""', '') or {{ value }}::varchar not like '"%' then null
        when not contains({{ value }}::varchar, '\') then ({{ value }}::varchar)[2:-2]
        else {{ value }} ->> '$'
    end
{%- endmacro %}
