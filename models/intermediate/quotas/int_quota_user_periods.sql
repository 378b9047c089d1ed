-- Purpose: the users and billing periods whose use is compared with limits, and the moment whose limits count (rule 17).
-- Grain: one row per user and billing period (external_user_id, billing_period), for every user with usage in the period or
--        with a quota at any time.

with

periods as (

    select * from {{ ref("int_usage_periods") }}

),

user_periods as (

    select * from {{ ref("int_user_periods") }}

),

limits as (

    select * from {{ ref("int_quota_limits") }}

),

newest_load as (

    select max(started_at_utc) as started_at_utc from {{ ref("stg_miosa__loads") }}

),

users as (

    -- Joined with the periods below: a session may reach into a month that has not begun (rule 37).
    select
        user_periods.external_user_id,
        user_periods.billing_period
    from user_periods
    union
    select
        limits.external_user_id,
        periods.billing_period
    from limits
    cross join periods
    where limits.has_quota

)

select
    users.external_user_id,
    periods.billing_period,
    periods.period_start_at_utc,
    periods.period_end_at_utc,
    -- The period's end; while the period runs, the newest load.
    least(periods.period_end_at_utc, newest_load.started_at_utc) as measured_at_utc
from users
inner join periods on users.billing_period = periods.billing_period
cross join newest_load
