-- Purpose: the credits that fall on each stretch: all days of a period that a user has on one plan and price list (rule 20).
-- Grain: one row a stretch with credits (external_user_id, billing_period, plan_id, price_valid_from).
{{ config(**kept("user_period")) }}

with

priced_parts as (

    select * from {{ ref("int_priced_parts") }}
    {{ touched_only("user_period") }}

)

select
    priced_parts.external_user_id,
    priced_parts.billing_period,
    priced_parts.plan_id,
    priced_parts.price_valid_from,
    {{ wide_sum("priced_parts.nano_credits") }} as nano_credits
from priced_parts
group by
    priced_parts.external_user_id,
    priced_parts.billing_period,
    priced_parts.plan_id,
    priced_parts.price_valid_from
