-- Purpose: what stood at Stripe for each closed invoice when it was last read.
-- Grain: one row per invoice (invoice_id).
-- A view, so that what `publish stripe` reads back counts before the next build.
{{ config(materialized="view") }}

with

documents as (

    select * from {{ source("stripe", "stripe_documents") }}

)

select
    documents.invoice_id,
    documents.kind,
    documents.stripe_id,
    documents.stripe_customer_id,
    documents.currency,
    documents.stripe_status,
    documents.stripe_amount,
    documents.line_count,
    documents.difference,
    documents.seen_at_utc
from documents
qualify row_number() over (partition by documents.invoice_id order by documents.read_number desc) = 1
