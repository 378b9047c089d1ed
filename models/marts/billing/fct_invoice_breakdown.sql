-- Purpose: what each invoice line bills for each project and workspace, in whole minor units that sum to the line.
-- Grain: one row per invoice line, project and workspace (line_id, external_project_id, workspace_id).
{{ config(
    materialized="view",
    meta={"changes": "int_user_periods_changed_by_lines", "changed_keys": ["external_user_id", "service_period"]},
) }}

select
    invoice_breakdown.line_id,
    invoice_breakdown.external_project_id,
    invoice_breakdown.workspace_id,
    invoice_breakdown.invoice_id,
    invoice_breakdown.external_user_id,
    invoice_breakdown.invoice_period,
    {{ period_start_date("invoice_breakdown.invoice_period") }} as invoice_period_start_date,
    invoice_breakdown.service_period,
    {{ period_start_date("invoice_breakdown.service_period") }} as service_period_start_date,
    invoice_breakdown.line_type,
    invoice_breakdown.plan_id,
    invoice_breakdown.currency,
    invoice_breakdown.status,
    {{ nano_to_credits("invoice_breakdown.nano_credits") }} as credits,
    invoice_breakdown.amount_minor,
    {{ minor_to_amount("invoice_breakdown.amount_minor", "invoice_breakdown.currency_exponent") }} as amount
from {{ ref("int_invoice_breakdown") }} as invoice_breakdown
