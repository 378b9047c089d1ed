-- Whether the mart exists that lists the runs of dbt: a build by an earlier version did not make it. One row.
select count(*) = 1
from information_schema.tables
where table_schema = 'marts' and table_name = 'rpt_builds'
