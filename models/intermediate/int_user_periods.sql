-- Purpose: what else is asked of a user's period, so that nothing above has to read sessions again.
-- Grain: one row a user and billing period with a session part (external_user_id, billing_period).
{{ config(**kept("user_period")) }}

with

session_periods as (

    select * from {{ ref("int_session_periods") }}
    {{ touched_only("user_period") }}

),

days_with_credits as (

    select
        external_user_id,
        billing_period,
        min(usage_date) as first_credits_date
    from {{ ref("fct_user_day_credits") }}
    {{ touched_only("user_period") }}
    where credits > 0
    group by external_user_id, billing_period

),

periods as (

    select
        session_periods.external_user_id,
        session_periods.billing_period,
        min(session_periods.part_start_at_utc) as first_start_at_utc,
        max(session_periods.part_end_at_utc) as last_end_at_utc,
        {{ wide_sum("session_periods.started_nano_credits") }} as started_nano_credits,
        {{ wide_sum("session_periods.ended_nano_credits") }} as ended_nano_credits,
        count(case when session_periods.is_cost_rounded then 1 end) as rounded_session_count
    from session_periods
    group by session_periods.external_user_id, session_periods.billing_period

)

select
    periods.external_user_id,
    periods.billing_period,
    periods.first_start_at_utc,
    periods.last_end_at_utc,
    days_with_credits.first_credits_date,
    periods.started_nano_credits,
    periods.ended_nano_credits,
    periods.rounded_session_count
from periods
left join days_with_credits
    on
        periods.external_user_id = days_with_credits.external_user_id
        and periods.billing_period = days_with_credits.billing_period
