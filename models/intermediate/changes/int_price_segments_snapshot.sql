-- Purpose: what int_rating_period_credits was made of, for the next build to compare with.
-- Grain: as int_price_segments.
-- depends_on: {{ ref("int_rating_period_credits") }}  (the snapshot is taken after the table was made of it, so that a kill loses no change)
{{ config(tags=["changes"], meta={"compared_by": "int_user_periods_changed_by_prices"}) }}

select
    external_user_id,
    billing_period,
    from_date,
    to_date,
    plan_id,
    price_valid_from
from {{ ref("int_price_segments") }}
