-- What was invoiced in each month up to this one, for at most twelve. One row per billing period and currency of the two months
-- that the page compares.
-- $1: the billing period.
select
    invoice_period,
    currency,
    sum(amount)::decimal(38, 3) as amount
from marts.fct_invoices
where
    invoice_period between strftime(($1 || '-01')::date - interval 11 month, '%Y-%m') and $1
    and currency in (
        select invoices.currency
        from marts.fct_invoices as invoices
        where invoices.invoice_period in ($1, strftime(($1 || '-01')::date - interval 1 month, '%Y-%m'))
    )
group by invoice_period, currency
order by currency, invoice_period
