-- Purpose: the invoices: what each user owes for each billing period, by currency, what it is made of, and what it was the month before.
-- Grain: one row per invoice (invoice_id), that is, per user, billing period and currency with a line (rule 31).

with

invoices as (

    select * from {{ ref("int_invoices") }}

),

following as (

    select
        invoices.external_user_id,
        invoices.currency,
        {{ billing_period(period_start("invoices.invoice_period") ~ " + interval 1 month") }} as invoice_period,
        invoices.amount
    from invoices

)

select
    invoices.invoice_id,
    invoices.external_user_id,
    invoices.invoice_period,
    {{ period_start_date("invoices.invoice_period") }} as invoice_period_start_date,
    invoices.currency,
    invoices.credits,
    invoices.amount_minor,
    invoices.amount::decimal(18, 3) as amount,
    invoices.line_count,
    invoices.status,
    invoices.closed_at_utc,
    invoices.amount_minor < 0 as is_credit,
    {%- for part in ["fee", "usage", "minimum", "adjustment"] %}
    invoices.{{ part }}_amount,
    {%- endfor %}
    case when invoices.amount_minor < 0 then 0 else invoices.given_back_amount end::decimal(38, 3) as credit_amount,
    following.amount as previous_amount
from invoices
left join following
    on
        invoices.external_user_id = following.external_user_id
        and invoices.invoice_period = following.invoice_period
        and invoices.currency = following.currency
