-- The rows of a load whose sessions start in a month, in their order.
-- $1: id of the load; $2: the month, or null. Grain: one row per row of raw.
select *
from raw.usage_sessions
where load_id = $1 and strftime(started_at_utc, '%Y-%m') is not distinct from $2
order by row_number
