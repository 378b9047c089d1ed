-- The loads that the Parquet folder does not hold yet, with the tables in which they have rows, and the month of their files.
-- $1: ids of the loads that it holds. Grain: one row per load, in the order of landing.
select
    load_id,
    list_filter(
        [
            case when rows_added > 0
                then case resource when 'session_voids' then 'usage_sessions' else resource end
            end,
            -- Answers that were the same as before.
            case when resource = 'quotas' and rows_listed > rows_added then 'quota_reads' end
        ],
        lambda name: name is not null
    ),
    strftime(ended_at_utc, '%Y-%m')
from raw.loads
where load_id not in (select unnest($1::bigint[]))
order by load_id
