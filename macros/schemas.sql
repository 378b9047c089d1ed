{#- Schemas are named as in dbt_project.yml (staging, intermediate, marts), without the target's name before them:
    the names are public, scripts and BI tools rely on them. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
