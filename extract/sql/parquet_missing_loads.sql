-- The loads that the Parquet folder does not hold yet, with the table and month of their files.
-- $1: ids of the loads that it holds. Grain: one row per load, in the order of landing.
select load_id, case resource when 'session_voids' then 'usage_sessions' else resource end, rows_added > 0,
    strftime(ended_at_utc, '%Y-%m')
from raw.loads
where load_id not in (select unnest($1::bigint[]))
order by load_id
