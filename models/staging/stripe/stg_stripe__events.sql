-- Purpose: the newest version of each object at Stripe that belongs to a closed invoice: invoice, payment, refund, dispute.
-- Grain: one row per object (stripe_id) and invoice (invoice_id).
-- A view, so that what `publish stripe --sync` lands counts before the next build.
{{ config(materialized="view") }}

with

events as (

    select * from {{ source("stripe", "stripe_events") }}

)

select
    events.invoice_id,
    events.stripe_invoice_id,
    events.object,
    events.stripe_id,
    events.status,
    events.currency,
    events.stripe_amount,
    events.credited_amount,
    events.due_at_utc,
    events.happened_at_utc,
    events.seen_at_utc
from events
qualify row_number() over (partition by events.stripe_id, events.invoice_id order by events.read_number desc) = 1
