-- Purpose: what the current period would have come to on each plan that helps and is in the user's currency: rated like an invoice
--          (macros/pricing.sql), as if the user had been on the plan on all days of the period, with the credits that were used.
-- Grain: one row per user and such plan with a price on each day of the period (external_user_id, plan_id).

with

candidates as (

    select * from {{ ref("int_quota_upgrade_candidates") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

currencies as (

    select * from {{ ref("stg_billing__currencies") }}

),

plan_prices as (

    select * from {{ ref("stg_billing__plan_prices") }}

),

tiers as (

    {{ tiers_in_nano() }}

),

user_days as (

    select * from {{ ref("int_user_days") }}

),

plan_segments as (

    select
        candidates.external_user_id,
        candidates.billing_period,
        candidates.period_start as from_date,
        candidates.period_end as to_date,
        candidates.plan_id
    from candidates
    inner join plans
        on
            candidates.plan_id = plans.plan_id
            and candidates.currency = plans.currency

),

periods as (

    select distinct
        plan_segments.billing_period,
        {{ days_between("plan_segments.from_date", "plan_segments.to_date") }}::bigint as day_count
    from plan_segments

),

price_segments as (

    {{ price_segments() }}

),

used as (

    {{ rating_period_credits() }}

),

{{ rating_periods() }},

{{ rated_line_steps() }},

amounts as (

    select
        lines.external_user_id,
        lines.plan_id,
        sum(lines.amount_minor)::bigint as amount_minor
    from lines
    group by lines.external_user_id, lines.plan_id

)

select
    rating_periods.external_user_id,
    rating_periods.plan_id,
    coalesce(any_value(amounts.amount_minor), 0) as amount_minor
from rating_periods
left join amounts
    on
        rating_periods.external_user_id = amounts.external_user_id
        and rating_periods.plan_id = amounts.plan_id
group by rating_periods.external_user_id, rating_periods.plan_id
having sum(rating_periods.day_count) = any_value(rating_periods.period_day_count)
