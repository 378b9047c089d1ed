{#-
    Reading JSON text without converting numbers to floats. These macros rely on the following about DuckDB, each proven by
    a unit test. A structure with a DECIMAL field keeps the text of every number as it was; without one, numbers go through a
    double. A VARCHAR field gives a string's content or a number's text. A JSON field keeps the quotes, which distinguishes a
    string from a number. For Spark, see engines/spark_json.sql.
-#}

{#-
    The named fields of an object as a STRUCT of texts, in one parse. `texts`: the content of any value, numbers as their
    text. `values`: JSON text, for json_id. `documents`: JSON text, for these macros again. Missing and null fields are null.
-#}
{% macro json_fields(document, texts=[], values=[], documents=[]) -%}
    {{ return(adapter.dispatch("json_fields")(document, texts, values, documents)) }}
{%- endmacro %}

{% macro default__json_fields(document, texts, values, documents) -%}
    from_json(
        {{ document }},
        '{ {%- for name in texts %}"{{ name }}":"VARCHAR",{% endfor -%}
        {%- for name in values + documents %}"{{ name }}":"JSON",{% endfor -%} "keep number texts":"DECIMAL(1,0)"}'
    )
{%- endmacro %}

{#- The items of a JSON array as a list of JSON texts. -#}
{% macro json_items(document) -%}{{ return(adapter.dispatch("json_items")(document)) }}{%- endmacro %}

{% macro default__json_items(document) -%}
    from_json('{"items":' || {{ document }} || '}', '{"items":["JSON"],"keep number texts":"DECIMAL(1,0)"}').items
{%- endmacro %}

{#- The only item of a JSON array, as JSON text; null for an array of none or several. Any other document as it is. -#}
{% macro json_only_item(document) -%}{{ return(adapter.dispatch("json_only_item")(document)) }}{%- endmacro %}

{% macro default__json_only_item(document) -%}
    case
        when left({{ document }}, 1) <> '[' then {{ document }}
        when len({{ json_items(document) }}) = 1 then ({{ json_items(document) }})[1]
    end
{%- endmacro %}

{#- The objects of a JSON array as a list of STRUCTs, as json_fields returns them. -#}
{% macro json_objects(document, texts=[], values=[], documents=[]) -%}
    {{ return(adapter.dispatch("json_objects")(document, texts, values, documents)) }}
{%- endmacro %}

{% macro default__json_objects(document, texts, values, documents) -%}
    from_json(
        {{ document }},
        '[{ {%- for name in texts %}"{{ name }}":"VARCHAR",{% endfor -%}
        {%- for name in values + documents %}"{{ name }}":"JSON",{% endfor -%} "keep number texts":"DECIMAL(1,0)"}]'
    )
{%- endmacro %}

{#- Columns item, fields and line_number: one row per item of two lists of the same length. -#}
{% macro each_item(items, fields) -%}{{ return(adapter.dispatch("each_item")(items, fields)) }}{%- endmacro %}

{% macro default__each_item(items, fields) -%}
    unnest({{ items }}) as item,
        unnest({{ fields }}) as fields,
        generate_subscripts({{ items }}, 1) as line_number
{%- endmacro %}

{#- Whether an object has at least one of the keys. Null if the text is null. -#}
{% macro json_has_any_key(document, keys) -%}{{ return(adapter.dispatch("json_has_any_key")(document, keys)) }}{%- endmacro %}

{% macro default__json_has_any_key(document, keys) -%}
    list_has_any(
        json_keys({{ document }}),
        ['{{ keys | join("', '") }}']
    )
{%- endmacro %}

{#- An id (rule 9): the content of a JSON string. Null if it is anything else, or empty. Never trimmed or case-folded. -#}
{% macro json_id(value) -%}{{ return(adapter.dispatch("json_id")(value)) }}{%- endmacro %}

{% macro default__json_id(value) -%}
    case
        when {{ value }}::varchar in ('""', '') or {{ value }}::varchar not like '"%' then null
        when not contains({{ value }}::varchar, '\') then ({{ value }}::varchar)[2:-2]
        else {{ value }} ->> '$'
    end
{%- endmacro %}
