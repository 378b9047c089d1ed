-- Revenue earned up to the newest load, and what the month's invoices hold for the days ahead. One row per currency.
-- $1: the billing period.
select
    currency,
    coalesce(sum(amount) filter (where is_elapsed), 0)::decimal(38, 9) as accrued_amount,
    coalesce(sum(amount) filter (where not is_elapsed), 0)::decimal(38, 9) as ahead_amount,
    sum(amount)::decimal(38, 9) as amount,
    max(service_date) filter (where is_elapsed) as accrued_to_date
from marts.fct_revenue_days
where recognized_in = $1
group by currency
order by currency
