-- Purpose: the credits of each rating period: all days of a billing period that a user has on one plan and price list (rule 20).
-- Grain: one row per rating period with credits (external_user_id, billing_period, plan_id, price_valid_from).
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_prices"},
) }}

with

user_days as (

    select * from {{ ref("int_user_days") }}
    {{ only_changed(ref("int_user_periods_changed_by_prices"), ["external_user_id", "billing_period"]) }}
    where
        nano_credits > 0
        and external_user_id <> '{{ unattributed() }}'

),

price_segments as (

    select * from {{ ref("int_price_segments") }}
    {{ only_changed(ref("int_user_periods_changed_by_prices"), ["external_user_id", "billing_period"]) }}

)

{{ rating_period_credits() }}
