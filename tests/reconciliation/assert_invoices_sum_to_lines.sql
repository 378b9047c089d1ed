-- Rule 3: an invoice's total is the sum of its lines, and each line is on one invoice. Its parts sum to the total.
with

lines as (

    select
        external_user_id,
        invoice_period,
        currency,
        status,
        count(*) as line_count,
        sum(quantity_credits) as credits,
        sum(amount_minor) as amount_minor,
        sum(amount) as amount,
        sum(case when amount < 0 then -amount else 0 end) as given_back_amount
    from {{ ref("fct_invoice_lines") }}
    group by external_user_id, invoice_period, currency, status

)

select
    external_user_id,
    invoice_period,
    currency,
    status
from {{ ref("fct_invoices") }} as invoices
full outer join lines using (external_user_id, invoice_period, currency, status)
where
    invoices.line_count is distinct from lines.line_count
    or invoices.credits is distinct from lines.credits
    or invoices.amount_minor is distinct from lines.amount_minor
    or invoices.amount is distinct from lines.amount
    or invoices.is_credit is distinct from (lines.amount_minor < 0)
    or invoices.amount
    is distinct from invoices.fee_amount + invoices.usage_amount + invoices.minimum_amount + invoices.adjustment_amount
    or invoices.credit_amount is distinct from case when lines.amount_minor < 0 then 0 else lines.given_back_amount end
