-- Purpose: which plan and price list each user is on, on each billable day (rule 18).
-- Grain: one row a user, billing period and run of days with one plan and one price list
--        (external_user_id, billing_period, from_date).

with

plan_segments as (

    select * from {{ ref("int_plan_segments") }}

),

plan_prices as (

    select * from {{ ref("stg_billing__plan_prices") }}

)

select
    plan_segments.external_user_id,
    plan_segments.billing_period,
    greatest(plan_segments.from_date, plan_prices.valid_from) as from_date,
    least(plan_segments.to_date, coalesce(plan_prices.valid_to, plan_segments.to_date)) as to_date,
    plan_segments.plan_id,
    plan_prices.valid_from as price_valid_from
from plan_segments
inner join plan_prices
    on
        plan_segments.plan_id = plan_prices.plan_id
        and plan_segments.to_date > plan_prices.valid_from
        and plan_segments.from_date < coalesce(plan_prices.valid_to, plan_segments.to_date)
where plan_prices.valid_to is null or plan_prices.valid_from < plan_prices.valid_to
