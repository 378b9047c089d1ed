-- Purpose: the sessions and days whose credits each rated line bills (rule 29).
-- Grain: one row per rated line, session and UTC day (line_id, session_id, usage_date).
-- Parts of sessions fill the allowance first, then the tiers, in the order of their start. A part that crosses a boundary is
-- split. Most rating periods have a single line with credits, which takes all parts; only the others need that order.
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_lines"},
) }}
{%- set rating_period = ["external_user_id", "billing_period", "plan_id", "price_valid_from"] %}

with

lines as (

    select
        *,
        count(*) over (partition by {{ rating_period | join(", ") }}) as line_count
    from {{ ref("int_rated_lines") }}
    {{ only_changed(ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"]) }}
    where end_nano > start_nano

),

lines_in_order as (

    select * from lines
    where line_count > 1

),

parts_in_order as (

    -- The nano-credits of a rating period are numbered from 0; end_nano is where a part's share of them ends.
    select
        session_days_with_plan.*,
        {{ wide_sum("session_days_with_plan.nano_credits") }} over (
            partition by session_days_with_plan.{{ rating_period | join(", session_days_with_plan.") }}
            order by session_days_with_plan.part_start_at_utc, session_days_with_plan.session_id
            rows between unbounded preceding and current row
        ) as end_nano
    from {{ changed_rows(ref("int_session_days_with_plan"), ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"]) }} as session_days_with_plan
    {{ semi_join() }} lines_in_order
        on
            {%- for column in rating_period %}
            {{ "and " if not loop.first }}session_days_with_plan.{{ column }} = lines_in_order.{{ column }}
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
        {%- for column in rating_period %}
        {{ "and " if not loop.first }}parts.{{ column }} = lines.{{ column }}
        {%- endfor %}
where lines.line_count = 1
union all
select
    lines.line_id,
    lines.external_user_id,
    lines.billing_period,
    lines.currency,
    parts_in_order.session_id,
    parts_in_order.usage_date,
    (
        least(parts_in_order.end_nano, lines.end_nano)
        - greatest(parts_in_order.end_nano - parts_in_order.nano_credits, lines.start_nano)
    )::{{ wide_integer() }} as nano_credits
from lines_in_order as lines
inner join parts_in_order
    on
        {%- for column in rating_period %}
        {{ "and " if not loop.first }}lines.{{ column }} = parts_in_order.{{ column }}
        {%- endfor %}
        and lines.start_nano < parts_in_order.end_nano
        and lines.end_nano > parts_in_order.end_nano - parts_in_order.nano_credits
