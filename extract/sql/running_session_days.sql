-- The days on which sessions that were running when last seen began. Grain: one row per day.
with current as (
    select is_running, is_void, started_at_utc
    from raw.usage_sessions
    where row_hash in (select ran.row_hash from raw.usage_sessions as ran where ran.is_running)
    qualify row_number() over (partition by row_hash, row_key, has_id order by load_id desc, row_number desc) = 1
)

select distinct date_trunc('day', started_at_utc)::timestamp as day
from current
where is_running and not is_void and started_at_utc is not null
order by day
