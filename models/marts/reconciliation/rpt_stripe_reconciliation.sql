-- Purpose: what each closed invoice comes to at Stripe, beside what it has to come to there.
-- Grain: one row per closed invoice (invoice_id).
-- A view, so that it shows what `publish stripe` has just read back.
{{ config(materialized="view") }}

with

invoices as (

    select * from {{ ref("fct_invoices") }}
    where status = 'closed'

),

lines as (

    select * from {{ ref("fct_stripe_lines") }}

),

notes as (

    select * from {{ ref("stg_ledger__stripe_documents") }}
    where kind = 'outcome' and step in ('invoice', 'credit')

),

documents as (

    select * from {{ ref("stg_stripe__documents") }}

),

expected as (

    select
        lines.invoice_id,
        sum(lines.stripe_amount)::bigint as stripe_amount
    from lines
    group by lines.invoice_id

),

made as (

    select
        notes.invoice_id,
        max(notes.stripe_id) as stripe_id
    from notes
    group by notes.invoice_id

)

select
    invoices.invoice_id,
    invoices.invoice_period,
    invoices.invoice_period_start_date,
    invoices.external_user_id,
    invoices.currency,
    coalesce(expected.stripe_amount, 0) as expected_amount,
    documents.stripe_amount as actual_amount,
    coalesce(documents.stripe_id, made.stripe_id) as stripe_id,
    case
        when documents.stripe_status = 'void' then 'void'
        when documents.stripe_status = 'deleted' then 'missing'
        when documents.difference is not null then 'differs'
        when documents.stripe_amount <> coalesce(expected.stripe_amount, 0) then 'differs'
        when documents.currency <> invoices.currency then 'differs'
        when documents.stripe_id is not null then 'ok'
        when coalesce(expected.stripe_amount, 0) = 0 and invoices.amount_minor <= 0 then 'ok'
        else 'not_sent'
    end as status,
    documents.stripe_customer_id,
    documents.stripe_status,
    documents.difference,
    documents.seen_at_utc
from invoices
left join expected on invoices.invoice_id = expected.invoice_id
left join made on invoices.invoice_id = made.invoice_id
left join documents on invoices.invoice_id = documents.invoice_id
