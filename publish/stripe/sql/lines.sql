-- The lines that the invoices of a period have to have at Stripe, in the order of users, invoices and lines. Grain: one row per line.
-- $1: billing period.
select
    lines.invoice_id,
    lines.external_user_id,
    lines.currency,
    lines.stripe_exponent,
    lines.stripe_customer_id,
    reconciliation.status,
    lines.closed_at_utc,
    sum(lines.amount_minor) over (partition by lines.invoice_id) as invoice_amount_minor,
    lines.stripe_amount,
    lines.description,
    lines.line_id,
    lines.line_count,
    lines.lines_checksum
from marts.fct_stripe_lines as lines
inner join marts.rpt_stripe_reconciliation as reconciliation on lines.invoice_id = reconciliation.invoice_id
where lines.invoice_period = $1
order by lines.external_user_id, lines.currency, lines.invoice_id, lines.line_number
