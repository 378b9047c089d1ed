-- Purpose: what else is asked of a user's period, so that nothing above has to read sessions again.
-- Grain: one row a user and billing period with a session part (external_user_id, billing_period).
{{ config(**kept("user_period")) }}

with

session_days as (

    select * from {{ ref("int_session_days") }}
    {{ touched_only("user_period") }}

)

select
    session_days.external_user_id,
    session_days.billing_period,
    min(session_days.part_start_at_utc) as first_start_at_utc,
    max(session_days.part_end_at_utc) as last_end_at_utc,
    min(session_days.usage_date) filter (where session_days.nano_credits > 0) as first_credits_date,
    {{ wide_sum("session_days.started_nano_credits") }} as started_nano_credits,
    {{ wide_sum("session_days.ended_nano_credits") }} as ended_nano_credits
from session_days
group by session_days.external_user_id, session_days.billing_period
