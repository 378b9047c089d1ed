-- The months in which sessions of a load start, null among them.
-- $1: id of the load. Grain: one row per month.
select distinct strftime(started_at_utc, '%Y-%m') as month
from raw.usage_sessions
where load_id = $1
order by month nulls last
