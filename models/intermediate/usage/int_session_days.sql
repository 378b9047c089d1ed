-- Purpose: each session split by UTC day, exactly (rule 13). Figures per day and invoice lines are sums of these parts.
-- Grain: one row per session and UTC day (session_id, usage_date).
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["row_hash"],
    meta={"changes": "int_changed_sessions", "changed_keys": ["row_hash", "load_id"]},
) }}

with

sessions as (

    select * from {{ ref("int_sessions") }}
    {{ only_changed(ref("int_changed_sessions"), ["row_hash", "load_id"]) }}

),

days as (

    select
        sessions.*,
        {{ each_day(
            "sessions.started_at_utc::date", last_day_of_span("sessions.started_at_utc", "sessions.end_at_utc")
        ) }} as usage_date
    from sessions

),

parts as (

    select
        days.*,
        greatest(days.usage_date::timestamp, days.started_at_utc) as part_start_at_utc,
        least((days.usage_date + 1)::timestamp, days.end_at_utc) as part_end_at_utc
    from days

)

select
    parts.session_id,
    parts.row_hash,
    parts.load_id,
    parts.usage_date,
    {{ billing_period("parts.usage_date") }} as billing_period,
    parts.external_user_id,
    parts.is_attributed,
    parts.sandbox_id,
    parts.external_project_id,
    parts.workspace_id,
    parts.part_start_at_utc,
    parts.part_end_at_utc,
    {{ split_figures("parts") }}
from parts
{{ order_by_user_period() }}
