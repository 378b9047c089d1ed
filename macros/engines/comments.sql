{#-
    Descriptions in the warehouse, so that people read them in the tool with which they query: comments on the tables and columns of
    marts. DuckDB only; on Spark they are in the site that `make docs` builds.
-#}

{#- on-run-end: writes the descriptions of the marts that this run built. In one statement: dbt's persist_docs asks the warehouse
    three questions per model, which costs a small build ten times as much. -#}
{% macro describe_marts(results) %}{{ return(adapter.dispatch("describe_marts")(results)) }}{% endmacro %}

{% macro default__describe_marts(results) %}
    {%- set comments = [] -%}
    {%- for result in results if result.status | string == "success" and result.node.resource_type == "model" -%}
        {%- set node = result.node -%}
        {%- if node.package_name == project_name and node.fqn[1] == "marts" -%}
            {%- set kind = "view" if node.config.materialized == "view" else "table" -%}
            {%- do comments.append("comment on " ~ kind ~ " " ~ node.relation_name ~ " is " ~ text_literal(node.description | trim)) -%}
            {%- for column in node.columns.values() -%}
                {%- do comments.append(
                    "comment on column " ~ node.relation_name ~ "." ~ adapter.quote(column.name) ~ " is "
                    ~ text_literal(column.description | trim)
                ) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if execute and comments -%}
        {%- call statement("describe_marts", auto_begin=True) -%}{{ comments | join(";\n") }}{%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}

{% macro spark__describe_marts(results) %}{% endmacro %}
