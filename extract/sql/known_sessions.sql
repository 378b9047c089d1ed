-- How many sessions known so far began on each day, void ones included: an estimate. Grain: one row per day.
select
    date_trunc('day', started_at_utc)::timestamp as day,
    count(distinct row_hash) as session_count
from raw.usage_sessions
where started_at_utc is not null
group by day
