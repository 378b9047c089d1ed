-- Purpose: what each session used and cost in each billing period.
-- Grain: one row a session and billing period in which it has a part (session_id, billing_period).
{{ config(**kept("user_period")) }}

with

session_days as (

    select * from {{ ref("int_session_days") }}
    {{ touched_only("user_period") }}

)

-- A session's days differ in nothing else: grouping by its key alone costs half of grouping by all of it.
select
    session_days.session_id,
    session_days.billing_period,
    any_value(session_days.external_user_id) as external_user_id,
    any_value(session_days.sandbox_id) as sandbox_id,
    any_value(session_days.external_project_id) as external_project_id,
    any_value(session_days.workspace_id) as workspace_id,
    min(session_days.part_start_at_utc) as part_start_at_utc,
    max(session_days.part_end_at_utc) as part_end_at_utc,
    sum(session_days.usage_seconds)::bigint as usage_seconds,
    {{ nano_to_credits(wide_sum("session_days.nano_credits")) }} as credits,
    bool_or(session_days.is_provisional) as is_provisional
from session_days
group by session_days.session_id, session_days.billing_period
