-- Purpose: the tiers of each price list, typed exactly: the price per credit, and from and up to how many credits it applies.
-- Grain: one row per tier (plan_id, valid_from, tier_from_credits).

with

plan_price_tiers as (

    select * from {{ ref("plan_price_tiers") }}

),

typed as (

    select
        plan_price_tiers.plan_id,
        {{ seed_day("plan_price_tiers.valid_from") }} as valid_from,
        {{ seed_amount("plan_price_tiers.tier_from_credits") }} as tier_from_credits,
        {{ seed_amount("plan_price_tiers.unit_price") }} as unit_price
    from plan_price_tiers

)

select
    typed.plan_id,
    typed.valid_from,
    typed.tier_from_credits,
    lead(typed.tier_from_credits) over (
        partition by typed.plan_id, typed.valid_from order by typed.tier_from_credits
    ) as tier_to_credits,
    typed.unit_price
from typed
