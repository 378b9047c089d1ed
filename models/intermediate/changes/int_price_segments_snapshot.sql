-- Purpose: the price segments from which this build computed int_rating_period_credits, for the next build to compare with.
-- Grain: one row per user, billing period and run of days, as in int_price_segments (external_user_id, billing_period, from_date).
-- depends_on: {{ ref("int_rating_period_credits") }}  (the snapshot comes after that table, so that an interrupted build loses no change)
{{ config(tags=["changes"], meta={"compared_by": "int_user_periods_changed_by_prices"}) }}

select
    external_user_id,
    billing_period,
    from_date,
    to_date,
    plan_id,
    price_valid_from
from {{ ref("int_price_segments") }}
