-- Purpose: the limits from which this build computed int_reached_limits, for the next build to compare with.
-- Grain: one row per user, billing period and quota with a limit (external_user_id, billing_period, quota).
-- depends_on: {{ ref("int_reached_limits") }}  (the snapshot comes after that table, so that an interrupted build loses no change)
{{ config(tags=["changes"], meta={"compared_by": "int_user_periods_changed_by_limits"}) }}

select
    external_user_id,
    billing_period,
    quota,
    limit_value
from {{ ref("int_quota_usage") }}
where limit_value is not null and quota in ('credits', 'concurrent')
