-- Whether any build has made the marts. One row.
select count(*) > 0
from information_schema.tables
where table_schema = 'marts'
