-- Purpose: what each user used and was charged on each UTC day.
-- Grain: one row a user and UTC day with a session part (external_user_id, usage_date).
{{ config(**kept("user_period")) }}

with

session_days as (

    select * from {{ ref("int_session_days") }}
    {{ touched_only("user_period") }}

)

select
    session_days.external_user_id,
    session_days.usage_date,
    session_days.billing_period,
    count(*) as session_count,
    sum(session_days.usage_seconds)::bigint as usage_seconds,
    {{ nano_to_credits(wide_sum("session_days.nano_credits")) }} as credits
from session_days
group by session_days.external_user_id, session_days.usage_date, session_days.billing_period
