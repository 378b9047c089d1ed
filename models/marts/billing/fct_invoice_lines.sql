-- Purpose: every line of every invoice: closed lines as they were frozen, open lines as they are rated today.
-- Grain: one row per invoice line (line_id).
{{ config(materialized="view") }}

select
    invoice_lines.line_id,
    invoice_lines.invoice_id,
    invoice_lines.external_user_id,
    invoice_lines.invoice_period,
    {{ period_start_date("invoice_lines.invoice_period") }} as invoice_period_start_date,
    invoice_lines.service_period,
    {{ period_start_date("invoice_lines.service_period") }} as service_period_start_date,
    invoice_lines.line_type,
    invoice_lines.plan_id,
    invoice_lines.price_valid_from,
    invoice_lines.tier_from_credits,
    invoice_lines.quantity_credits,
    invoice_lines.unit_price,
    invoice_lines.amount_minor,
    invoice_lines.amount,
    invoice_lines.currency,
    invoice_lines.status,
    invoice_lines.closed_at_utc,
    invoice_lines.description,
    invoice_lines.currency_exponent,
    invoice_lines.service_day_mask,
    invoice_lines.adjustment_reasons,
    invoice_lines.price_changes,
    invoice_lines.plan_days_key
from {{ ref("int_invoice_lines") }} as invoice_lines
