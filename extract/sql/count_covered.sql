-- Counts the sessions that the covered windows should list, by the rule of find_unlisted.sql. One row.
-- $1: as there.
with current as (
    select
        arg_max(
            {
                'is_void': is_void,
                'starts': started_at_utc,
                'ends': ended_at_utc,
                'covered_until':
                    case when is_running then greatest(ended_at_utc, $1) else ended_at_utc end
            },
            load_id::hugeint * 1099511627776 + row_number
        ) as version
    from history
    where row_hash in (
        select inside.row_hash
        from history as inside
        semi join covered_windows
            on inside.started_at_utc >= covered_windows.starts and inside.started_at_utc < covered_windows.ends
    )
    group by row_hash, row_key, has_id
)

select count(*)
from current
semi join covered_windows as of_start
    on current.version.starts >= of_start.starts and current.version.starts < of_start.ends
semi join covered_windows as of_end
    on current.version.ends >= of_end.starts and current.version.covered_until < of_end.ends
where not current.version.is_void
