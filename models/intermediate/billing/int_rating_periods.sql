-- Purpose: the rating periods: all days of a billing period that a user has on one plan and price list (rule 20), with fee,
--          minimum and allowance prorated to these days, and the credits used on them.
-- Grain: one row per rating period (external_user_id, billing_period, plan_id, price_valid_from).
-- depends_on: {{ ref("int_pricing_errors") }}  (it stops the build, so that nothing is rated while a day has no price, or two)

with

price_segments as (

    select * from {{ ref("int_price_segments") }}

),

plan_prices as (

    select * from {{ ref("stg_billing__plan_prices") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

currencies as (

    select * from {{ ref("stg_billing__currencies") }}

),

periods as (

    select * from {{ ref("int_billing_periods") }}

),

used as (

    select * from {{ ref("int_rating_period_credits") }}

),

{{ rating_periods() }}

select
    rating_periods.external_user_id,
    rating_periods.billing_period,
    rating_periods.plan_id,
    rating_periods.price_valid_from,
    rating_periods.plan_name,
    rating_periods.currency,
    rating_periods.currency_exponent,
    rating_periods.tier_model,
    rating_periods.service_day_mask,
    rating_periods.day_count,
    rating_periods.period_day_count,
    rating_periods.fee_minor,
    rating_periods.minimum_minor,
    rating_periods.allowance_nano,
    rating_periods.used_nano,
    rating_periods.included_nano
from rating_periods
