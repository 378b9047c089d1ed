-- What the invoices hold. One row per currency and line type.
-- $1: the billing period.
select
    currency,
    line_type,
    count(*) as line_count,
    sum(quantity_credits)::decimal(38, 9) as credits,
    sum(amount)::decimal(38, 3) as amount
from marts.fct_invoice_lines
where invoice_period = $1
group by currency, line_type
order by currency, list_position(['fee', 'included', 'usage', 'minimum', 'adjustment'], line_type)
