{#- The external_user_id of usage that belongs to nobody (rule 9). Public: it stands in every mart. -#}
{% macro unattributed() -%}
    (unattributed)
{%- endmacro %}
