-- Purpose: the requests that put closed invoices to Stripe.
-- Grain: one row per note: that a request is about to be sent, or what came of it.
-- A view, so that a note counts before the next build.
{{ config(materialized="view") }}

select
    stripe_documents.invoice_id,
    stripe_documents.step,
    stripe_documents.kind,
    stripe_documents.stripe_id,
    stripe_documents.stripe_customer_id,
    stripe_documents.currency,
    stripe_documents.stripe_amount,
    stripe_documents.checksum,
    stripe_documents.noted_at_utc
from {{ source("ledger", "stripe_documents") }} as stripe_documents
