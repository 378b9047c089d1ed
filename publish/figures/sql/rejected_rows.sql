-- Rows of the vendor that could not be used, in all periods: many have no readable date. One row per source and reason.
select
    source as rejected_source,
    reason as rejected_reason,
    count(*) as row_count,
    max(loaded_at_utc) as last_loaded_at_utc
from marts.rpt_rejected_rows
group by source, reason
order by source, reason
