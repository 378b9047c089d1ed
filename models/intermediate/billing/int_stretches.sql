-- Purpose: what is priced as one: all days of a period that a user has on one plan and price list (rule 20), with the
--          terms prorated to these days and the credits that fall on them.
-- Grain: one row a stretch (external_user_id, billing_period, plan_id, price_valid_from).
-- depends_on: {{ ref("int_pricing_faults") }}  (nothing is priced while a day has no price, or two)

with

price_segments as (

    select * from {{ ref("int_price_segments") }}

),

priced_parts as (

    select * from {{ ref("int_priced_parts") }}

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

days as (

    select
        price_segments.external_user_id,
        price_segments.billing_period,
        price_segments.plan_id,
        price_segments.price_valid_from,
        sum(datediff('day', price_segments.from_date, price_segments.to_date))::bigint as day_count
    from price_segments
    group by
        price_segments.external_user_id,
        price_segments.billing_period,
        price_segments.plan_id,
        price_segments.price_valid_from

),

used as (

    select
        priced_parts.external_user_id,
        priced_parts.billing_period,
        priced_parts.plan_id,
        priced_parts.price_valid_from,
        sum(priced_parts.nano_credits) as nano_credits
    from priced_parts
    group by
        priced_parts.external_user_id,
        priced_parts.billing_period,
        priced_parts.plan_id,
        priced_parts.price_valid_from

),

terms as (

    select
        days.external_user_id,
        days.billing_period,
        days.plan_id,
        days.price_valid_from,
        days.day_count,
        periods.day_count as period_day_count,
        coalesce(plans.plan_name, plans.plan_id) as plan_name,
        plans.currency,
        currencies.exponent as currency_exponent,
        plan_prices.tier_model,
        {{ minor_units(
            credits_to_nano("plan_prices.monthly_fee"), "days.day_count", "periods.day_count", "currencies.exponent"
        ) }} as fee_minor,
        {{ minor_units(
            credits_to_nano("plan_prices.minimum_charge"), "days.day_count", "periods.day_count", "currencies.exponent"
        ) }} as minimum_minor,
        -- To the nano-credit, downwards.
        {{ credits_to_nano("plan_prices.included_credits") }} * days.day_count // periods.day_count as allowance_nano,
        coalesce(used.nano_credits, 0)::hugeint as used_nano
    from days
    inner join periods on days.billing_period = periods.billing_period
    inner join plans on days.plan_id = plans.plan_id
    inner join currencies on plans.currency = currencies.currency
    inner join plan_prices
        on
            days.plan_id = plan_prices.plan_id
            and days.price_valid_from = plan_prices.valid_from
    left join used
        on
            days.external_user_id = used.external_user_id
            and days.billing_period = used.billing_period
            and days.plan_id = used.plan_id
            and days.price_valid_from = used.price_valid_from

)

select
    terms.external_user_id,
    terms.billing_period,
    terms.plan_id,
    terms.price_valid_from,
    terms.plan_name,
    terms.currency,
    terms.currency_exponent,
    terms.tier_model,
    terms.day_count,
    terms.period_day_count,
    terms.fee_minor,
    terms.minimum_minor,
    terms.allowance_nano,
    terms.used_nano,
    least(terms.used_nano, terms.allowance_nano) as included_nano
from terms
