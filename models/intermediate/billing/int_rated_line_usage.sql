-- Purpose: which session's credits of which day each recomputed line holds (rule 29). Parts fill the allowance, then the
--          tiers, in their order; a part that crosses an edge is cut.
-- Grain: one row a recomputed line, session and UTC day (line_id, session_id, usage_date).
-- Most rating_periods come to one line, which holds all their parts whole. Only where there are several do parts need an order.
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_lines"},
) }}
{%- set stretch = ["external_user_id", "billing_period", "plan_id", "price_valid_from"] %}

with

lines as (

    select
        *,
        count(*) over (partition by {{ stretch | join(", ") }}) as line_count
    from {{ ref("int_rated_lines") }}
    {{ only_changed(ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"]) }}
    where end_nano > start_nano

),

lines_of_several as (

    select * from lines
    where line_count > 1

),

placed_parts as (

    -- Which of the stretch's nano-credits a part holds, counted from its first.
    select
        session_days_with_plan.*,
        {{ wide_sum("session_days_with_plan.nano_credits") }} over (
            partition by session_days_with_plan.{{ stretch | join(", session_days_with_plan.") }}
            order by session_days_with_plan.part_start_at_utc, session_days_with_plan.session_id
            rows between unbounded preceding and current row
        ) as end_nano
    from {{ changed_rows(ref("int_session_days_with_plan"), ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"]) }} as session_days_with_plan
    {{ semi_join() }} lines_of_several
        on
            {%- for column in stretch %}
            {{ "and " if not loop.first }}session_days_with_plan.{{ column }} = lines_of_several.{{ column }}
            {%- endfor %}

)

select
    lines.line_id,
    lines.external_user_id,
    lines.billing_period,
    lines.currency,
    parts.session_id,
    parts.usage_date,
    parts.nano_credits::{{ wide_integer() }} as nano_credits
from {{ changed_rows(ref("int_session_days_with_plan"), ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"]) }} as parts
inner join lines
    on
        {%- for column in stretch %}
        {{ "and " if not loop.first }}parts.{{ column }} = lines.{{ column }}
        {%- endfor %}
where lines.line_count = 1
union all
select
    lines.line_id,
    lines.external_user_id,
    lines.billing_period,
    lines.currency,
    placed_parts.session_id,
    placed_parts.usage_date,
    (
        least(placed_parts.end_nano, lines.end_nano)
        - greatest(placed_parts.end_nano - placed_parts.nano_credits, lines.start_nano)
    )::{{ wide_integer() }} as nano_credits
from lines_of_several as lines
inner join placed_parts
    on
        {%- for column in stretch %}
        {{ "and " if not loop.first }}lines.{{ column }} = placed_parts.{{ column }}
        {%- endfor %}
        and lines.start_nano < placed_parts.end_nano
        and lines.end_nano > placed_parts.end_nano - placed_parts.nano_credits
