{#- The external_user_id of usage that belongs to nobody (rule 9). Public: every mart uses it. -#}
{% macro unattributed() -%}
    (unattributed)
{%- endmacro %}
