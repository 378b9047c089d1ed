-- Purpose: the recomputation (rule 26): what each user's periods come to by today's sessions and prices, line by line,
--          made and rounded as if no period had ever been closed.
-- Grain: one row a user, billing period, plan, price list, line type and tier
--        (external_user_id, billing_period, plan_id, price_valid_from, line_type, tier_from_credits).

with

stretches as (

    select * from {{ ref("int_stretches") }}

),

tiers as (

    {{ tiers_in_nano() }}

),

{{ stretch_lines() }}

select
    {{ invoice_line_id(
        "lines.external_user_id", "lines.billing_period", "lines.billing_period", "lines.line_type", "lines.currency",
        "lines.plan_id", "lines.price_valid_from", "lines.tier_from_credits",
    ) }} as line_id,
    lines.external_user_id,
    lines.billing_period,
    lines.plan_id,
    lines.price_valid_from,
    lines.line_type,
    lines.tier_from_credits,
    lines.currency,
    lines.currency_exponent,
    lines.unit_price,
    lines.from_nano,
    lines.to_nano,
    (lines.to_nano - lines.from_nano)::{{ wide_integer() }} as quantity_nano,
    lines.amount_minor,
    lines.plan_name || ': ' || lines.what as description
from lines
where lines.to_nano > lines.from_nano or lines.amount_minor <> 0
