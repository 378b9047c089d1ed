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
