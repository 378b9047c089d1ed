-- Every invoice. One row per invoice.
-- $1: the billing period.
select
    invoices.external_user_id,
    users.display_name,
    invoices.invoice_period_start_date,
    invoices.status,
    invoices.closed_at_utc,
    invoices.is_credit,
    invoices.line_count,
    invoices.credits,
    invoices.currency,
    invoices.amount,
    invoices.invoice_id
from marts.fct_invoices as invoices
left join marts.dim_users as users on invoices.external_user_id = users.external_user_id
where invoices.invoice_period = $1
order by invoices.external_user_id, invoices.currency
