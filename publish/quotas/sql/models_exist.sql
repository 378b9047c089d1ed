-- Whether the models exist that this package reads. One row.
select count(*) = 4
from information_schema.tables
where
    (table_schema = 'intermediate' and table_name = 'int_desired_quota_limits')
    or (table_schema = 'marts' and table_name in ('dim_users', 'dim_billing_periods', 'fct_quota_utilization'))
