-- Purpose: when each user first ran each sandbox within a billing period.
-- Grain: one row a user, billing period and sandbox (external_user_id, billing_period, sandbox_id).
{{ config(**kept("user_period")) }}

with

parts as (

    select * from {{ ref("fct_session_period_credits") }}
    {{ touched_only("user_period") }}
    where sandbox_id is not null

)

select
    parts.external_user_id,
    parts.billing_period,
    parts.sandbox_id,
    min(parts.part_start_at_utc) as first_started_at_utc
from parts
group by parts.external_user_id, parts.billing_period, parts.sandbox_id
