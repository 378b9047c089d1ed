-- Rule 7: nothing is dropped in silence. Each key of raw is exactly one of: a session that counts, a rejected row, a void.
with

raw_keys as (

    select distinct
        row_key,
        has_id
    from {{ touched_part(source("raw", "usage_sessions"), "session") }}

),

staged as (

    select
        row_key,
        has_session_id,
        session_id,
        is_void,
        rejection_reason
    from {{ touched_part(ref("stg_miosa__usage_sessions")) }}

),

accounts as (

    select
        coalesce(raw_keys.row_key, staged.row_key) as row_key,
        coalesce(raw_keys.has_id, staged.has_session_id) as has_id,
        count(raw_keys.row_key) as raw_count,
        count(staged.row_key) as staged_count,
        count(*) filter (where staged.is_void) as void_count,
        count(*) filter (where staged.rejection_reason is not null) as rejected_count,
        count(sessions.session_id) as session_count
    from raw_keys
    full outer join staged
        on
            raw_keys.row_key = staged.row_key
            and raw_keys.has_id = staged.has_session_id
    left join {{ touched_part(ref("int_sessions")) }} as sessions on staged.session_id = sessions.session_id
    group by all

)

select *
from accounts
where
    raw_count <> 1
    or staged_count <> 1
    or void_count + rejected_count + session_count <> 1
