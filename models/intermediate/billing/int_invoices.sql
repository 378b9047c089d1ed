-- Purpose: what each user owes for each billing period, by currency: the sums of the lines, in all and by their type.
-- Grain: one row per invoice (invoice_id), that is, per user, billing period and currency with a line (rule 31).

with

lines as (

    select * from {{ ref("int_invoice_lines") }}

)

select
    lines.invoice_id,
    lines.external_user_id,
    lines.invoice_period,
    lines.currency,
    lines.status,
    lines.closed_at_utc,
    lines.issuer_id,
    lines.document_sequence,
    lines.document_number,
    count(*) as line_count,
    -- A user who only gets an adjustment of an earlier period is no customer of this one.
    bool_or(lines.line_type <> 'adjustment') as has_lines_of_its_period,
    sum(lines.quantity_credits)::decimal(38, 9) as credits,
    {{ within_money_range(
        "sum(lines.amount_minor)", "any_value(lines.currency_exponent)",
        "'the invoice of user ' || " ~ quoted_for_message("lines.external_user_id") ~ " || ' for ' || lines.invoice_period",
    ) }} as amount_minor,
    sum(lines.amount)::decimal(38, 3) as amount,
    sum(case when lines.line_type = 'fee' then lines.amount else 0 end)::decimal(38, 3) as fee_amount,
    sum(case when lines.line_type in ('usage', 'included') then lines.amount else 0 end)::decimal(38, 3) as usage_amount,
    sum(case when lines.line_type = 'minimum' then lines.amount else 0 end)::decimal(38, 3) as minimum_amount,
    sum(case when lines.line_type = 'adjustment' then lines.amount else 0 end)::decimal(38, 3) as adjustment_amount,
    sum(case when lines.amount < 0 then -lines.amount else 0 end)::decimal(38, 3) as given_back_amount
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
