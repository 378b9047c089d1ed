-- Purpose: each session split by billing period in one step (rule 13), for all figures per billing period.
-- Grain: one row per session and billing period in which it has a part (session_id, billing_period).
-- int_session_days splits the same sessions on its own; a test proves that the sums of both are equal.
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["row_hash"],
    meta={"changes": "int_changed_sessions", "changed_keys": ["row_hash", "load_id"]},
) }}
-- depends_on: {{ ref("int_user_periods_changed_by_usage") }}  (it reads this table as the previous build left it)

with

sessions as (

    select * from {{ ref("int_sessions") }}
    {{ only_changed(ref("int_changed_sessions"), ["row_hash", "load_id"]) }}

),

months as (

    select
        sessions.*,
        {{ each_step(
            "date_trunc('month', sessions.started_at_utc)",
            last_day_of_span("sessions.started_at_utc", "sessions.end_at_utc") ~ "::timestamp",
            "1 month",
        ) }} as month_start_at_utc
    from sessions

),

parts as (

    select
        months.*,
        greatest(months.month_start_at_utc, months.started_at_utc) as part_start_at_utc,
        least(months.month_start_at_utc + interval 1 month, months.end_at_utc) as part_end_at_utc
    from months

)

select
    parts.session_id,
    parts.row_hash,
    parts.load_id,
    parts.external_user_id,
    {{ billing_period("parts.month_start_at_utc") }} as billing_period,
    parts.sandbox_id,
    parts.external_project_id,
    parts.workspace_id,
    parts.part_start_at_utc,
    parts.part_end_at_utc,
    parts.is_provisional,
    parts.is_cost_rounded,
    -- The vendor may count a session as a whole in the period of its start or of its end (rule 33).
    case when parts.part_start_at_utc = parts.started_at_utc then parts.cost_nano_credits else 0 end as started_nano_credits,
    case when parts.part_end_at_utc = parts.end_at_utc then parts.cost_nano_credits else 0 end as ended_nano_credits,
    {{ split_figures("parts") }}
from parts
{{ order_by_user_period() }}
