-- Purpose: each user's invoice of the first open period beside the one of the period before, for the review before a close.
-- Grain: one row per user and currency with an invoice in either period (external_user_id, currency). No rows if nobody has one in the
--        period before: there is nothing to compare with.

with

first_open as (

    select
        billing_period,
        {{ billing_period("period_start - interval 1 month") }} as previous_period
    from {{ ref("int_billing_periods") }}
    where is_first_open

),

lines as (

    select * from {{ ref("int_invoice_lines") }}

),

invoices as (

    select
        lines.external_user_id,
        lines.currency,
        sum(lines.quantity_credits) filter (where lines.invoice_period = first_open.billing_period)::decimal(38, 9) as credits,
        sum(lines.amount) filter (where lines.invoice_period = first_open.billing_period)::decimal(38, 3) as amount,
        sum(lines.amount) filter (where lines.invoice_period = first_open.previous_period)::decimal(38, 3) as previous_amount
    from lines
    inner join first_open on lines.invoice_period in (first_open.billing_period, first_open.previous_period)
    group by lines.external_user_id, lines.currency

)

select
    invoices.external_user_id,
    invoices.currency,
    invoices.credits,
    invoices.amount,
    invoices.previous_amount
from invoices
where (select count(previous.previous_amount) from invoices as previous) > 0
