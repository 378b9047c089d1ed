-- Whether the tables exist from which interrupted changes are found: a warehouse may be of an earlier version. One row.
select count(*) = 2
from information_schema.tables
where table_schema = 'raw' and table_name in ('quota_changes', 'quota_reads')
