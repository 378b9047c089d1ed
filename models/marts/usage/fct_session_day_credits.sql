-- Purpose: the usage and credits of each session on each UTC day, with its user, project, workspace and sandbox.
-- Grain: one row per session and UTC day on which it has a part (session_id, usage_date).
{{ config(
    materialized="view",
    meta={"changes": "int_user_periods_changed_by_usage", "changed_keys": ["external_user_id", "billing_period"]},
) }}

select
    session_days.session_id,
    session_days.usage_date,
    session_days.billing_period,
    {{ period_start_date("session_days.billing_period") }} as period_start_date,
    session_days.external_user_id,
    session_days.external_project_id,
    session_days.workspace_id,
    session_days.sandbox_id,
    session_days.usage_seconds,
    {{ nano_to_credits("session_days.nano_credits") }} as credits
from {{ ref("int_session_days") }} as session_days
