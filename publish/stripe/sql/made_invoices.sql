-- The invoices of a period that were made at Stripe. Grain: one row per invoice.
-- $1: billing period.
select
    reconciliation.invoice_id,
    reconciliation.stripe_id
from marts.rpt_stripe_reconciliation as reconciliation
where
    reconciliation.invoice_period = $1
    and reconciliation.stripe_id is not null
    and reconciliation.expected_amount >= 0
    and reconciliation.status <> 'missing'
order by reconciliation.external_user_id, reconciliation.currency
