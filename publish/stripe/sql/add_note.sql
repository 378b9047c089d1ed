-- Notes that a request is about to be sent, or what came of it. One row.
-- $1 to $9: the columns of ledger.stripe_documents, in their order.
insert into ledger.stripe_documents (
    invoice_id, step, kind, stripe_id, stripe_customer_id, currency, stripe_amount, checksum, noted_at_utc
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
