-- Purpose: each session split by UTC day, exactly (rule 13). Every figure by time is a sum of these parts.
-- Grain: one row a session and UTC day (session_id, usage_date).
{{ config(**kept("session", touch="touch_their_periods", then="touch_their_periods")) }}

with

sessions as (

    select * from {{ ref("int_sessions") }}
    {{ touched_only("session") }}

),

days as (

    select
        sessions.*,
        {{ each_day(
            "sessions.started_at_utc::date", last_day("sessions.started_at_utc", "sessions.end_at_utc")
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
    parts.usage_date,
    {{ billing_period("parts.usage_date") }} as billing_period,
    parts.external_user_id,
    parts.is_attributed,
    parts.sandbox_id,
    parts.external_project_id,
    parts.workspace_id,
    parts.part_start_at_utc,
    parts.part_end_at_utc,
    parts.is_provisional,
    -- The whole session, on the day on which it starts and on that on which it ends: the vendor may count it so (rule 33).
    case when parts.usage_date = parts.started_at_utc::date then parts.cost_nano_credits else 0 end as started_nano_credits,
    case
        when parts.usage_date = {{ last_day("parts.started_at_utc", "parts.end_at_utc") }} then parts.cost_nano_credits
        else 0
    end as ended_nano_credits,
    {%- for amount, name in [("cost_nano_credits", "nano_credits"), ("usage_seconds", "usage_seconds")] %}
    {{ split_part(
        "parts." ~ amount,
        elapsed_microseconds("parts.started_at_utc", "parts.part_start_at_utc"),
        elapsed_microseconds("parts.started_at_utc", "parts.part_end_at_utc"),
        "parts.elapsed_microseconds",
    ) }}::bigint as {{ name }}{{ "," if not loop.last }}
    {%- endfor %}
from parts
