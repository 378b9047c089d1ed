-- Purpose: the credits that fall on each stretch: all days of a period that a user has on one plan and price list (rule 20).
-- Grain: one row a stretch with credits (external_user_id, billing_period, plan_id, price_valid_from).
{{ config(**kept("user_period", touch="mark_changed_inputs", then="snapshot_inputs")) }}

with

user_days as (

    select * from {{ ref("fct_user_day_credits") }}
    {{ touched_only("user_period") }}
    where
        credits > 0
        and external_user_id <> '{{ unattributed() }}'

),

price_segments as (

    select * from {{ ref("int_price_segments") }}
    {{ touched_only("user_period") }}

)

{{ rating_period_credits() }}
