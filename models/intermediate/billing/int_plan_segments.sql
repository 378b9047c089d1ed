-- Purpose: the plan of each user on each billable day: days of an assignment, and days on the default plan (rule 19).
-- Grain: one row per user, billing period and run of days on one assignment (external_user_id, billing_period, from_date).
-- The plan is null if the days need a default plan and none is set; int_pricing_errors then stops the build.

with

periods as (

    select * from {{ ref("int_billing_periods") }}

),

user_plans as (

    select * from {{ ref("stg_billing__user_plans") }}

),

user_periods as (

    select * from {{ ref("int_user_periods") }}
    where
        first_credits_date is not null
        and external_user_id <> '{{ unattributed() }}'

),

user_days as (

    select * from {{ ref("int_user_days") }}
    where nano_credits > 0

),

{{ plan_segment_steps() }}

select
    plan_segments.external_user_id,
    plan_segments.billing_period,
    plan_segments.from_date,
    plan_segments.to_date,
    plan_segments.plan_id,
    plan_segments.is_default,
    plan_segments.first_used_date
from plan_segments
