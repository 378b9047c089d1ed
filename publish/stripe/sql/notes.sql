-- What was noted about the invoices of a period. Grain: one row per note.
-- $1: billing period.
select
    notes.invoice_id,
    notes.step,
    notes.kind,
    notes.stripe_id,
    notes.stripe_customer_id
from ledger.stripe_documents as notes
where notes.invoice_id in (select lines.invoice_id from marts.fct_stripe_lines as lines where lines.invoice_period = $1)
order by notes.noted_at_utc
