-- Finds sessions that the covered windows should list and that neither this run nor the unfinished one before it listed.
-- $1: until when a running session has to be covered (null: as far as it was known).
-- Grain: `unlisted` has one row per session.
-- The start lies in one window, the end in the same or another one, whatever lies between them: an API that selects by
-- start lists the session in the first, one that selects by end in the second, one that selects by overlap in both. A
-- session last seen running may have ended at any time since, so all of that time (`ended_at_utc` to `covered_until`)
-- has to lie in one window. An end exactly on a window's end is not covered: whether the API then lists the session
-- depends on how it selects.
create or replace temp table unlisted as
with suspects as (
    select distinct history.row_hash, history.row_key, history.has_id
    from history
    semi join covered_windows
        on history.started_at_utc >= covered_windows.starts and history.started_at_utc < covered_windows.ends
    anti join raw.listed_sessions as listed
        on history.row_hash = listed.row_hash and history.row_key = listed.row_key and history.has_id = listed.has_id
    where not history.is_void
),

current as (
    select
        history.row_hash, history.row_key, history.has_id, history.is_void, history.started_at_utc,
        history.ended_at_utc,
        case when history.is_running then greatest(history.ended_at_utc, $1) else history.ended_at_utc end
            as covered_until
    from history
    inner join suspects using (row_hash, row_key, has_id)
    qualify row_number() over (
        partition by history.row_hash, history.row_key, history.has_id
        order by history.load_id desc, history.row_number desc
    ) = 1
)

select current.row_hash, current.row_key, current.has_id, current.started_at_utc, current.ended_at_utc
from current
semi join covered_windows as of_start
    on current.started_at_utc >= of_start.starts and current.started_at_utc < of_start.ends
semi join covered_windows as of_end
    on current.ended_at_utc >= of_end.starts and current.covered_until < of_end.ends
where not current.is_void
