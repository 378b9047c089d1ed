-- Purpose: the price lists of each plan and the days on which each is valid, typed exactly (rule 18).
-- Grain: one row per price list (plan_id, valid_from).
-- A cell that cannot be read is null here, and int_pricing_errors stops the build. A price list that ends on the day it
-- begins is valid on no day and left out.

with

plan_prices as (

    select * from {{ ref("plan_prices") }}

)

select
    plan_prices.plan_id,
    {{ seed_day("plan_prices.valid_from") }} as valid_from,
    {{ seed_day("plan_prices.valid_to") }} as valid_to,
    {{ seed_amount("coalesce(plan_prices.monthly_fee, '0')") }} as monthly_fee,
    {{ seed_amount("coalesce(plan_prices.included_credits, '0')") }} as included_credits,
    {{ seed_amount("coalesce(plan_prices.minimum_charge, '0')") }} as minimum_charge,
    plan_prices.tier_model
from plan_prices
where plan_prices.valid_from is distinct from plan_prices.valid_to or plan_prices.valid_from is null
