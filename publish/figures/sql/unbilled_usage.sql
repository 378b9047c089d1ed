-- Usage that is on no invoice, at the vendor's price. One row per reason.
-- $1: the billing period.
select
    reason as unbilled_reason,
    session_count,
    credits,
    vendor_currency,
    vendor_cost
from marts.rpt_unbilled_usage
where billing_period = $1
order by credits desc nulls last, unbilled_reason asc
