-- The decimals of each currency's minor unit. One row per currency of the period's invoices and of those of the period before.
-- $1: the billing period.
select currency, max(currency_exponent) as currency_exponent
from marts.fct_invoice_lines
where invoice_period in ($1, strftime(($1 || '-01')::date - interval 1 month, '%Y-%m'))
group by currency
order by currency
