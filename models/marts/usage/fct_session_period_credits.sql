-- Purpose: the usage and credits of each session in each billing period.
-- Grain: one row per session and billing period in which it has a part (session_id, billing_period).
{{ config(
    materialized="view",
    meta={"changes": "int_user_periods_changed_by_usage", "changed_keys": ["external_user_id", "billing_period"]},
) }}

select
    session_periods.session_id,
    session_periods.billing_period,
    {{ period_start_date("session_periods.billing_period") }} as period_start_date,
    session_periods.external_user_id,
    session_periods.sandbox_id,
    session_periods.external_project_id,
    session_periods.workspace_id,
    session_periods.part_start_at_utc,
    session_periods.part_end_at_utc,
    session_periods.usage_seconds,
    {{ nano_to_credits("session_periods.nano_credits") }} as credits,
    session_periods.is_provisional
from {{ ref("int_session_periods") }} as session_periods
