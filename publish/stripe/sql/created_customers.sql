-- The customers that were created for users, in any period. Grain: one row per user.
select
    invoices.external_user_id,
    arg_max(notes.stripe_id, notes.noted_at_utc)
from ledger.stripe_documents as notes
inner join marts.fct_invoices as invoices on notes.invoice_id = invoices.invoice_id
where notes.step = 'customer' and notes.kind = 'outcome'
group by invoices.external_user_id
