-- Purpose: the recomputation (rule 26): the lines of each user's billing periods, rated and rounded by today's sessions and
--          prices as if no period had ever been closed.
-- Grain: one row per user, billing period, plan, price list, line type and tier
--        (external_user_id, billing_period, plan_id, price_valid_from, line_type, tier_from_credits).

with

rating_periods as (

    select * from {{ ref("int_rating_periods") }}

),

tiers as (

    {{ tiers_in_nano() }}

),

{{ rated_line_steps() }}

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
    lines.start_nano,
    lines.end_nano,
    (lines.end_nano - lines.start_nano)::{{ wide_integer() }} as quantity_nano,
    lines.amount_minor,
    lines.service_day_mask,
    lines.plan_name || ': ' || lines.description as description
from lines
where lines.end_nano > lines.start_nano or lines.amount_minor <> 0
