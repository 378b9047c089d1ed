-- How many versions of sessions known so far began on each day: an estimate of how long the list is.
-- $1, $2: first day, and the day after the last one. Grain: one row per day.
select
    date_trunc('day', started_at_utc)::timestamp as day,
    count(*) as session_count
from raw.usage_sessions
where started_at_utc >= $1 and started_at_utc < $2 and not is_void
group by day
