-- From what is invoiced to users to what the vendor counts, step by step. One row per step; the steps before the last sum to it. No rows
-- while the month is not complete, or has no figure of the vendor's.
-- $1: the billing period.
select
    step_number,
    step,
    credits,
    is_total,
    note
from marts.rpt_vendor_bill_bridge
where billing_period = $1
order by step_number
