{#- The variable of the same name, refused with a sentence when it is none of the three ways of counting (rule 33). -#}
{% macro vendor_attribution() -%}
    {%- set way = var("vendor_attribution") -%}
    {%- if way not in ("split", "start", "end") -%}
        {{ exceptions.raise_compiler_error(
            "the variable vendor_attribution is '" ~ way ~ "': it must be split, start or end"
        ) }}
    {%- endif -%}
    {{ way }}
{%- endmacro %}
