-- Purpose: invoice lines as they were frozen when their period was closed.
-- Grain: one row per closed invoice line (line_id).
{{ config(materialized="view") }}

select
    closed_invoice_lines.line_id,
    closed_invoice_lines.invoice_id,
    closed_invoice_lines.external_user_id,
    closed_invoice_lines.invoice_period,
    closed_invoice_lines.service_period,
    closed_invoice_lines.line_type,
    closed_invoice_lines.plan_id,
    closed_invoice_lines.price_valid_from,
    closed_invoice_lines.tier_from_credits,
    closed_invoice_lines.quantity_credits,
    closed_invoice_lines.unit_price,
    closed_invoice_lines.amount_minor,
    closed_invoice_lines.amount,
    closed_invoice_lines.currency,
    closed_invoice_lines.currency_exponent,
    closed_invoice_lines.description,
    closed_invoice_lines.closed_at_utc,
    closed_invoice_lines.service_day_mask,
    closed_invoice_lines.plan_days_key,
    closed_invoice_lines.adjustment_reasons,
    closed_invoice_lines.price_changes
from {{ source("ledger", "closed_invoice_lines") }} as closed_invoice_lines
