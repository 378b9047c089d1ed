-- Purpose: the usage and credits of each user in each billing period, on which invoices and reconciliation build.
-- Grain: one row per user and billing period with a session part (external_user_id, billing_period).
{{ config(
    materialized="view",
    meta={"changes": "int_user_periods_changed_by_usage", "changed_keys": ["external_user_id", "billing_period"]},
) }}

select
    user_periods.external_user_id,
    user_periods.billing_period,
    {{ period_start_date("user_periods.billing_period") }} as period_start_date,
    {{ period_start("user_periods.billing_period") }}::timestamp as period_start_at_utc,
    ({{ period_start("user_periods.billing_period") }} + interval 1 month)::timestamp as period_end_at_utc,
    user_periods.external_user_id <> '{{ unattributed() }}' as is_attributed,
    user_periods.session_count,
    user_periods.sandbox_count,
    user_periods.usage_seconds,
    {{ nano_to_credits("user_periods.nano_credits") }} as credits,
    {{ nano_to_credits("user_periods.provisional_nano_credits") }} as provisional_credits,
    user_periods.peak_concurrent
from {{ ref("int_user_periods") }} as user_periods
