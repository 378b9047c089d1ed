-- Purpose: the sessions and days whose credits each invoice line bills, with their share of its amount, to trace a line back to the
--          vendor's rows and to add up money by project, sandbox or day.
-- Grain: one row per invoice line, session and UTC day (line_id, session_id, usage_date).
{{ config(
    materialized="view",
    meta={"changes": "int_user_periods_changed_by_lines", "changed_keys": ["line_id"], "changed_through": "int_rated_lines"},
) }}

select
    invoice_line_usage.line_id,
    invoice_line_usage.session_id,
    invoice_line_usage.usage_date,
    {{ nano_to_credits("invoice_line_usage.nano_credits") }} as credits,
    {{ nano_to_credits("invoice_line_usage.nano_amount") }} as amount,
    invoice_line_usage.usage_seconds,
    invoice_line_usage.external_user_id,
    invoice_line_usage.external_project_id,
    invoice_line_usage.workspace_id,
    invoice_line_usage.sandbox_id,
    invoice_line_usage.currency,
    invoice_line_usage.status,
    invoice_line_usage.invoice_period,
    {{ period_start_date("invoice_line_usage.invoice_period") }} as invoice_period_start_date,
    invoice_line_usage.service_period,
    {{ period_start_date("invoice_line_usage.service_period") }} as service_period_start_date,
    invoice_line_usage.change_reason,
    invoice_line_usage.change_load_id,
    invoice_line_usage.change_read_at_utc
from {{ ref("int_invoice_line_usage") }} as invoice_line_usage
