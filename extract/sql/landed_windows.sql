-- The windows of sessions that were over when loads of the unfinished run read them. Grain: one row per window.
-- $1: id of the last load before that run.
select distinct window_start_at_utc, window_end_at_utc
from raw.loads
where resource = 'usage_sessions' and load_id > $1 and window_end_at_utc <= started_at_utc
order by window_start_at_utc
