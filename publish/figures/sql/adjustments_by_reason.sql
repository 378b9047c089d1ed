-- Why earlier months are adjusted. One row per currency and set of reasons.
-- $1: the billing period.
select
    currency,
    -- Null where an adjustment was closed before reasons were kept.
    coalesce(adjustment_reasons, 'not_recorded') as adjustment_reasons,
    count(*) as line_count,
    sum(quantity_credits)::decimal(38, 9) as credits,
    sum(amount)::decimal(38, 3) as amount
from marts.fct_invoice_lines
where invoice_period = $1 and line_type = 'adjustment'
group by currency, coalesce(adjustment_reasons, 'not_recorded')
order by currency, adjustment_reasons
