-- Purpose: what is priced as one: all days of a period that a user has on one plan and price list (rule 20), with the
--          terms prorated to these days and the credits that fall on them.
-- Grain: one row a stretch (external_user_id, billing_period, plan_id, price_valid_from).
-- depends_on: {{ ref("int_pricing_faults") }}  (nothing is priced while a day has no price, or two)

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

    select * from {{ ref("int_stretch_credits") }}

),

{{ stretches() }}

select
    stretches.external_user_id,
    stretches.billing_period,
    stretches.plan_id,
    stretches.price_valid_from,
    stretches.plan_name,
    stretches.currency,
    stretches.currency_exponent,
    stretches.tier_model,
    stretches.day_count,
    stretches.period_day_count,
    stretches.fee_minor,
    stretches.minimum_minor,
    stretches.allowance_nano,
    stretches.used_nano,
    stretches.included_nano
from stretches
