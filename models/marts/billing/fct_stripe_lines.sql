-- Purpose: the lines that closed invoices have to have at Stripe. `publish stripe` sends them.
-- Grain: one row per invoice and line at Stripe (invoice_id, line_number).

select
    stripe_lines.invoice_id,
    stripe_lines.line_number,
    stripe_lines.external_user_id,
    stripe_lines.invoice_period,
    {{ period_start_date("stripe_lines.invoice_period") }} as invoice_period_start_date,
    stripe_lines.currency,
    stripe_lines.stripe_customer_id,
    stripe_lines.line_id,
    stripe_lines.line_type,
    stripe_lines.service_period,
    {{ period_start_date("stripe_lines.service_period") }} as service_period_start_date,
    stripe_lines.plan_id,
    stripe_lines.line_count,
    stripe_lines.lines_checksum,
    stripe_lines.amount_minor,
    stripe_lines.stripe_amount,
    stripe_lines.stripe_exponent,
    stripe_lines.description,
    stripe_lines.closed_at_utc
from {{ ref("int_stripe_lines") }} as stripe_lines
