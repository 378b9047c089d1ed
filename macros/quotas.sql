{#-
    used ÷ limit, DECIMAL(18,6), half away from zero (rule 16). Null without a limit, and for a limit of zero, which is
    a block, not a measure. Both sides DECIMAL(38,9). A limit of a few nano-credits could push the figure beyond its
    type: it is shown as the largest figure the type holds, rather than failing everybody's build.
-#}
{% macro capped_utilization(used, limit_value) -%}
    -- LEAST skips nulls, so a limit that is none or zero is told apart first.
    case
        when {{ limit_value }} > 0
            then least(
                {{ rounded_ratio(credits_to_nano(used), credits_to_nano(limit_value), 6, "decimal(38, 6)") }},
                999999999999.999999::decimal(38, 6)
            )
    end::decimal(18, 6)
{%- endmacro %}

{#- The UTC day as of which quotas are wanted: the variable of the same name, else the day on which the build runs. -#}
{% macro quotas_as_of() -%}
    {%- set value = var("quotas_as_of", none) | string -%}
    {%- if var("quotas_as_of", none) is none or value | length == 0 -%}
        date '{{ run_started_at.strftime("%Y-%m-%d") }}'
    {%- elif modules.re.fullmatch("[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", value) is none -%}
        {{ exceptions.raise_compiler_error(
            "the variable quotas_as_of is '" ~ value ~ "': it must be a day like \"2026-10-31\", in quotes"
        ) }}
    {%- else -%}
        date '{{ value }}'
    {%- endif -%}
{%- endmacro %}
