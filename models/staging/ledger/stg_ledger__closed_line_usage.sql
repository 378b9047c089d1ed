-- Purpose: the sessions and days that closed invoice lines bill.
-- Grain: one row per closed invoice line, session and UTC day (line_id, session_id, usage_date).
{{ config(materialized="view") }}

select
    closed_line_usage.line_id,
    closed_line_usage.session_id,
    closed_line_usage.usage_date,
    closed_line_usage.credits,
    closed_line_usage.invoice_period,
    closed_line_usage.amount,
    closed_line_usage.usage_seconds,
    closed_line_usage.sandbox_id,
    closed_line_usage.external_project_id,
    closed_line_usage.workspace_id,
    closed_line_usage.change_reason,
    closed_line_usage.change_load_id,
    closed_line_usage.change_read_at_utc
from {{ source("ledger", "closed_line_usage") }} as closed_line_usage
