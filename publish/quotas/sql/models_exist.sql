-- Whether the marts exist that this package reads. One row.
select count(*) = 5
from information_schema.tables
where
    table_schema = 'marts'
    and table_name in (
        'dim_users', 'dim_billing_periods', 'fct_quota_utilization', 'dim_desired_quota_limits', 'dim_quota_answers'
    )
