-- Rule 7: nothing is dropped in silence. Each key of raw is exactly one of: a session that counts, a rejected row, a void. (That
-- none is two of staging's rows is the key of stg_miosa__usage_sessions.)
with

raw_rows as (

    select
        row_hash,
        row_key,
        has_id
    from {{ touched_part(source("raw", "usage_sessions"), "session") }}

),

staged as (

    select * from {{ touched_part(ref("stg_miosa__usage_sessions")) }}

),

sessions as (

    select * from {{ touched_part(ref("int_sessions")) }}

)

select
    'not staged' as what,
    raw_rows.row_key
from raw_rows
{{ anti_join() }} staged
    on
        raw_rows.row_hash = staged.row_hash
        and raw_rows.row_key = staged.row_key
        and raw_rows.has_id = staged.has_session_id
union all
select
    'not in raw' as what,
    staged.row_key
from staged
{{ anti_join() }} {{ source("raw", "usage_sessions") }} as landed
    on
        staged.load_id = landed.load_id
        and staged.row_number = landed.row_number
        and staged.row_key = landed.row_key
union all
select
    'not exactly one of session, rejected, void' as what,
    coalesce(staged.row_key, sessions.session_id) as row_key
from staged
full outer join sessions
    on
        staged.load_id = sessions.load_id
        and staged.row_number = sessions.row_number
        and staged.session_id = sessions.session_id
where
    case when staged.is_void then 1 else 0 end
    + case when staged.rejection_reason is not null then 1 else 0 end
    + case when sessions.session_id is not null then 1 else 0 end
    <> 1
    or staged.row_key is null
