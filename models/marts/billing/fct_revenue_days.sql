-- Purpose: the revenue of each day: usage on its day, fees and minimums spread over theirs, adjustments on the days they correct.
-- Grain: one row per line type, user, plan, currency, project, UTC day and invoice period
--        (line_type, external_user_id, plan_id, currency, external_project_id, service_date, recognized_in).
{{ config(
    materialized="view",
    meta={"changes": "int_user_periods_changed_by_lines", "changed_keys": ["external_user_id", "service_period"]},
) }}

select
    revenue_days.line_type,
    revenue_days.external_user_id,
    revenue_days.plan_id,
    revenue_days.currency,
    revenue_days.external_project_id,
    revenue_days.service_date,
    revenue_days.service_period,
    {{ period_start_date("revenue_days.service_period") }} as service_period_start_date,
    revenue_days.recognized_in,
    revenue_days.status,
    revenue_days.is_elapsed,
    {{ nano_to_credits("revenue_days.nano_credits") }} as credits,
    {{ nano_to_credits("revenue_days.nano_amount") }} as amount
from {{ ref("int_revenue_days") }} as revenue_days
