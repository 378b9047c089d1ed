-- Whether each step agrees with the one before it, and with the vendor's figures. One row per check.
-- $1: the billing period.
select
    check_name,
    count(*) as compared_count,
    count(*) filter (where status = 'ok') as ok_count,
    count(*) filter (where status = 'explained') as explained_count,
    count(*) filter (where status = 'mismatch') as mismatch_count,
    max(abs(difference_credits)) as largest_difference_credits,
    max(tolerance_credits) as tolerance_credits
from marts.rpt_reconciliation
where billing_period = $1
group by check_name
order by check_name
