-- Purpose: what is paid, refunded, disputed and outstanding of each invoice at Stripe, as `publish stripe --sync` last read it.
-- Grain: one row per closed invoice that was read at Stripe (invoice_id).
-- A view, so that it shows what was just read. Days are counted up to that reading, not up to today.
{{ config(materialized="view") }}

with

events as (

    select * from {{ ref("stg_stripe__events") }}

),

-- A payment that is not settled, a refund that failed, a dispute that was won and an inquiry have taken nothing.
sums as (

    select
        events.invoice_id,
        coalesce(sum(events.stripe_amount) filter (where events.object = 'payment' and events.status = 'paid'), 0)::bigint as paid_amount,
        coalesce(
            sum(events.stripe_amount) filter (where events.object = 'refund' and events.status not in ('failed', 'canceled')), 0
        )::bigint as refunded_amount,
        coalesce(
            sum(events.stripe_amount) filter (
                where events.object = 'dispute' and events.status in ('needs_response', 'under_review', 'lost')
            ),
            0
        )::bigint as disputed_amount,
        max(events.seen_at_utc) as last_changed_at_utc
    from events
    group by events.invoice_id

),

newest_payments as (

    select
        events.invoice_id,
        events.stripe_id as last_payment_id,
        events.happened_at_utc as last_paid_at_utc
    from events
    where events.object = 'payment' and events.status = 'paid'
    qualify
        row_number() over (
            partition by events.invoice_id order by coalesce(events.happened_at_utc, timestamp '0001-01-01') desc, events.stripe_id desc
        ) = 1

),

newest_reading as (

    select max(events.seen_at_utc) as read_at_utc from events

),

invoices as (

    select
        events.invoice_id,
        events.stripe_id,
        events.status,
        events.currency,
        events.due_at_utc,
        case when events.status = 'void' then 0 else events.stripe_amount end as invoiced_amount,
        case when events.status = 'void' then 0 else events.credited_amount end as credited_amount
    from events
    where events.object = 'invoice'

),

balances as (

    select
        invoices.*,
        sums.paid_amount,
        sums.refunded_amount,
        sums.disputed_amount,
        sums.last_changed_at_utc,
        invoices.invoiced_amount - invoices.credited_amount - sums.paid_amount + sums.refunded_amount
        + sums.disputed_amount as outstanding_amount
    from invoices
    inner join sums on invoices.invoice_id = sums.invoice_id

)

select
    balances.invoice_id,
    balances.currency,
    balances.stripe_id,
    balances.status as stripe_status,
    balances.invoiced_amount,
    balances.credited_amount,
    balances.paid_amount,
    balances.refunded_amount,
    balances.disputed_amount,
    balances.outstanding_amount,
    balances.due_at_utc,
    case
        when balances.outstanding_amount > 0 and balances.due_at_utc is not null and balances.status in ('open', 'paid', 'uncollectible')
            then
                greatest(
                    {{ days_between("date_trunc('day', balances.due_at_utc)", "date_trunc('day', newest_reading.read_at_utc)") }}, 0
                )
    end as overdue_days,
    balances.last_changed_at_utc,
    newest_payments.last_payment_id,
    newest_payments.last_paid_at_utc
from balances
left join newest_payments on balances.invoice_id = newest_payments.invoice_id
cross join newest_reading
