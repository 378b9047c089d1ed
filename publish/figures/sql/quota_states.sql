-- How many users are in which state of each quota. One row per quota.
-- $1: the billing period.
select
    quota,
    count(*) filter (where status = 'ok') as ok_count,
    count(*) filter (where status = 'warning') as warning_count,
    count(*) filter (where status = 'at_limit') as at_limit_count,
    count(*) filter (where status = 'over_limit') as over_limit_count,
    count(*) filter (where status = 'uncapped') as uncapped_count,
    count(*) filter (where status = 'not_measured') as not_measured_count,
    count(*) filter (where status = 'no_quota') as no_quota_count
from marts.fct_quota_utilization
where billing_period = $1
group by quota
order by list_position(['credits', 'concurrent', 'sandboxes', 'storage_gb'], quota)
