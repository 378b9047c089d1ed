-- Notes the months of changed sessions, unless they are noted already. Grain: one row per first and last month.
-- A session that ends exactly at the start of a month has no part in it (rule 13).
insert into raw.figures_due
select distinct
    date_trunc('month', started)::timestamp as first_month_at_utc,
    date_trunc('month', case when ended > started then ended - interval 1 microsecond else started end)::timestamp
        as last_month_at_utc
from changed_sessions
where started is not null and ended is not null
except
from raw.figures_due
