{#-
    json.sql, for Spark. Spark's reader converts numbers through a double when a text is requested. So each number of a document is
    put in quotes first, after a mark that distinguishes it from a string. The mark is a code point that Unicode reserves and no
    text uses. A field of type VARIANT distinguishes strings from other values. A field of type STRING gives the content of a
    string, or the JSON text of any other value.
-#}

{#- The mark, U+FDD0. -#}
{% macro spark_number_mark() -%}{{ return("\ufdd0") }}{%- endmacro %}

{#- A document with its numbers as marked strings. \G continues after the last match; strings are skipped as a whole. -#}
{% macro spark_quoted_numbers(document) -%}
    regexp_replace(
        {{ document }},
        r'\G((?:[^"0-9-]++|"(?:[^"\\]++|\\.)*+")*+)(-?[0-9][0-9.eE+-]*+)',
        '$1"{{ spark_number_mark() }}$2"'
    )
{%- endmacro %}

{#- The reverse, for JSON text that Spark wrote: restores numbers, and characters that Spark escaped without need. -#}
{% macro spark_plain_json(text) -%}
    array_join(
        transform(
            regexp_extract_all({{ text }}, r'"(?:[^"\\]++|\\.)*+"|[^"]++', 0),
            piece -> case
                when startswith(piece, '"{{ spark_number_mark() }}') then substring(piece, 3, length(piece) - 3)
                when contains(piece, r'\u')
                    then regexp_extract(to_json(from_json('[' || piece || ']', 'array<string>')), r'(?s)\A\[(.*)\]\z', 1)
                else piece
            end
        ),
        ''
    )
{%- endmacro %}

{% macro spark__json_fields(document, texts, values, documents) -%}
    {%- set schema = [] -%}
    {%- for name in texts -%}{%- do schema.append(name ~ " string") -%}{%- endfor -%}
    {%- for name in values -%}{%- do schema.append(name ~ " variant") -%}{%- endfor -%}
    {%- for name in documents -%}{%- do schema.append(name ~ " string") -%}{%- endfor %}
    transform(
        array({{ spark_quoted_numbers(document) }}),
        quoted -> case
            when quoted is not null then transform(
                array(
                    struct(
                        from_json(quoted, '{{ schema | join(", ") }}') as found
                        {%- if documents %},
                        from_json(quoted, '{{ documents | join(" variant, ") }} variant') as kinds
                        {%- endif %}
                    )
                ),
                read -> named_struct(
                    {%- for name in texts %}
                    '{{ name }}', ltrim('{{ spark_number_mark() }}', read.found.{{ name }}){{ "," if not (loop.last and not values and not documents) }}
                    {%- endfor %}
                    {%- for name in values %}
                    '{{ name }}', nullif(to_json(read.found.{{ name }}), 'null'){{ "," if not (loop.last and not documents) }}
                    {%- endfor %}
                    {%- for name in documents %}
                    '{{ name }}', {{ spark_plain_json(
                        "case when startswith(to_json(read.kinds." ~ name ~ "), '\"') then to_json(read.kinds." ~ name
                        ~ ") else read.found." ~ name ~ " end"
                    ) }}{{ "," if not loop.last }}
                    {%- endfor %}
                )
            )[0]
        end
    )[0]
{%- endmacro %}

{% macro spark__json_items(document) -%}
    zip_with(
        from_json({{ spark_quoted_numbers(document) }}, 'array<variant>'),
        from_json({{ spark_quoted_numbers(document) }}, 'array<string>'),
        (kind, found) -> {{ spark_plain_json("case when startswith(to_json(kind), '\"') then to_json(kind) else found end") }}
    )
{%- endmacro %}

{% macro spark__json_only_item(document) -%}
    case
        when left({{ document }}, 1) <> '[' then {{ document }}
        when size({{ spark__json_items(document) }}) = 1 then ({{ spark__json_items(document) }})[0]
    end
{%- endmacro %}

{% macro spark__json_objects(document, texts, values, documents) -%}
    transform(
        {{ spark__json_items(document) }},
        item -> {{ spark__json_fields("item", texts, values, documents) }}
    )
{%- endmacro %}

{% macro spark__each_item(items, fields) -%}
    inline(
        transform({{ items }}, (item, place) -> struct(item, element_at({{ fields }}, place + 1), place + 1L))
    ) as (item, fields, line_number)
{%- endmacro %}

{% macro spark__json_has_any_key(document, keys) -%}
    arrays_overlap(
        json_object_keys({{ document }}),
        array('{{ keys | join("', '") }}')
    )
{%- endmacro %}

{% macro spark__json_id(value) -%}
    case
        when {{ value }} in ('""', '') or {{ value }} not like '"%' or {{ value }} like '"{{ spark_number_mark() }}%' then null
        when not contains({{ value }}, r'\') then substring({{ value }}, 2, length({{ value }}) - 2)
        else from_json('[' || {{ value }} || ']', 'array<string>')[0]
    end
{%- endmacro %}
