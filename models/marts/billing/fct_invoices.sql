-- Purpose: the invoices: what each user owes for each billing period, by currency.
-- Grain: one row per invoice (invoice_id), that is, per user, billing period and currency with a line (rule 31).

with

lines as (

    select * from {{ ref("int_invoice_lines") }}

)

select
    lines.invoice_id,
    lines.external_user_id,
    lines.invoice_period,
    {{ period_start_date("lines.invoice_period") }} as invoice_period_start_date,
    lines.currency,
    sum(lines.quantity_credits)::decimal(38, 9) as credits,
    {{ within_money_range(
        "sum(lines.amount_minor)", "any_value(lines.currency_exponent)",
        "'the invoice of user ' || " ~ quoted_for_message("lines.external_user_id") ~ " || ' for ' || lines.invoice_period",
    ) }} as amount_minor,
    sum(lines.amount)::decimal(18, 3) as amount,
    count(*) as line_count,
    lines.status,
    lines.closed_at_utc,
    sum(lines.amount_minor) < 0 as is_credit,
    lines.issuer_id,
    lines.document_sequence,
    lines.document_number
from lines
group by
    lines.invoice_id,
    lines.external_user_id,
    lines.invoice_period,
    lines.currency,
    lines.status,
    lines.closed_at_utc,
    lines.issuer_id,
    lines.document_sequence,
    lines.document_number
