-- Purpose: what int_reached_limits was made of, for the next build to compare with.
-- Grain: as int_quota_usage.
-- depends_on: {{ ref("int_reached_limits") }}  (the snapshot is taken after the table was made of it, so that a kill loses no change)
{{ config(tags=["changes"], meta={"compared_by": "int_user_periods_changed_by_limits"}) }}

select
    external_user_id,
    billing_period,
    quota,
    limit_value
from {{ ref("int_quota_usage") }}
where limit_value is not null and quota in ('credits', 'concurrent')
