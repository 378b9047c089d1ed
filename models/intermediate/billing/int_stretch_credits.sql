-- Purpose: the credits that fall on each stretch: all days of a period that a user has on one plan and price list (rule 20).
-- Grain: one row a stretch with credits (external_user_id, billing_period, plan_id, price_valid_from).
{{ config(**kept("user_period", touch="touch_what_moved", then="know_what_it_was_made_of")) }}

with

user_days as (

    select * from {{ ref("fct_user_day_credits") }}
    {{ touched_only("user_period") }}
    where credits > 0

),

price_segments as (

    select * from {{ ref("int_price_segments") }}
    {{ touched_only("user_period") }}

)

select
    user_days.external_user_id,
    user_days.billing_period,
    price_segments.plan_id,
    price_segments.price_valid_from,
    {{ credits_to_nano("sum(user_days.credits)") }} as nano_credits
from user_days
inner join price_segments
    on
        user_days.external_user_id = price_segments.external_user_id
        and user_days.billing_period = price_segments.billing_period
        and user_days.usage_date >= price_segments.from_date
        and user_days.usage_date < price_segments.to_date
where user_days.external_user_id <> '{{ unattributed() }}'
group by
    user_days.external_user_id,
    user_days.billing_period,
    price_segments.plan_id,
    price_segments.price_valid_from
