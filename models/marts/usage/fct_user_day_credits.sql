-- Purpose: the usage and credits of each user on each UTC day.
-- Grain: one row per user and UTC day with a session part (external_user_id, usage_date).
{{ config(
    materialized="view",
    meta={"changes": "int_user_periods_changed_by_usage", "changed_keys": ["external_user_id", "billing_period"]},
) }}

select
    user_days.external_user_id,
    user_days.usage_date,
    user_days.billing_period,
    {{ period_start_date("user_days.billing_period") }} as period_start_date,
    user_days.session_count,
    user_days.usage_seconds,
    {{ nano_to_credits("user_days.nano_credits") }} as credits
from {{ ref("int_user_days") }} as user_days
