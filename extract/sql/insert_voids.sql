-- Voids the sessions that find_unlisted.sql found. Grain: one row per session.
-- $1: id of the load.
insert into raw.usage_sessions
select
    $1, row_number() over (order by row_hash, row_key, has_id), row_key, has_id, row_hash, true, false,
    started_at_utc, ended_at_utc, null, null, null
from unlisted
