-- Purpose: what each session used and cost in each billing period.
-- Grain: one row a session and billing period in which it has a part (session_id, billing_period).

with

session_days as (

    select * from {{ ref("int_session_days") }}

)

select
    session_days.session_id,
    session_days.billing_period,
    session_days.external_user_id,
    session_days.sandbox_id,
    session_days.external_project_id,
    session_days.workspace_id,
    min(session_days.part_start_at_utc) as part_start_at_utc,
    max(session_days.part_end_at_utc) as part_end_at_utc,
    sum(session_days.usage_seconds)::bigint as usage_seconds,
    {{ nano_to_credits("sum(session_days.nano_credits)") }} as credits,
    session_days.is_provisional
from session_days
group by all
