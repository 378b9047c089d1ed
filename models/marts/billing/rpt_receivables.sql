-- Purpose: what is paid, refunded, disputed and outstanding of each invoice at Stripe, as `publish stripe --sync` last read it.
-- Grain: one row per closed invoice that was read at Stripe (invoice_id).
-- A view, so that it shows what was just read.
{{ config(materialized="view") }}

with

receivables as (

    select * from {{ ref("int_receivables") }}

),

invoice_lines as (

    select * from {{ ref("int_stripe_lines") }}

),

owners as (

    select distinct
        invoice_lines.invoice_id,
        invoice_lines.external_user_id,
        invoice_lines.invoice_period
    from invoice_lines

)

select
    receivables.invoice_id,
    owners.invoice_period,
    {{ period_start_date("owners.invoice_period") }} as invoice_period_start_date,
    owners.external_user_id,
    receivables.currency,
    receivables.stripe_id,
    receivables.stripe_status,
    receivables.invoiced_amount,
    receivables.credited_amount,
    receivables.paid_amount,
    receivables.refunded_amount,
    receivables.disputed_amount,
    receivables.outstanding_amount,
    receivables.due_at_utc,
    receivables.overdue_days,
    receivables.last_changed_at_utc
from receivables
inner join owners on receivables.invoice_id = owners.invoice_id
