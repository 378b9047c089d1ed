{#- Schemas have the names in dbt_project.yml (staging, intermediate, marts) without the target's name as a prefix. The names
    are public: scripts and BI tools rely on them. Overrides dbt's macro for nodes of this project only. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if node.package_name != project_name -%}
        {{ return(dbt.generate_schema_name(custom_schema_name, node)) }}
    {%- endif -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
