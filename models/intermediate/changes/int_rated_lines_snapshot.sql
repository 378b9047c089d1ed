-- Purpose: the rated lines from which this build computed int_rated_line_usage, for the next build to compare with.
-- Grain: one row per rated line (line_id).
-- depends_on: {{ ref("int_rated_line_usage") }}  (the snapshot comes after that table, so that an interrupted build loses no change)
{{ config(tags=["changes"], meta={"compared_by": "int_user_periods_changed_by_lines"}) }}

select
    external_user_id,
    billing_period,
    line_id,
    start_nano,
    end_nano,
    amount_minor,
    currency_exponent,
    service_day_mask
from {{ ref("int_rated_lines") }}
