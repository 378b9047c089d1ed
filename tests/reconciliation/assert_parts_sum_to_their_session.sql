-- Rule 13: the parts of a session sum exactly to it, in credits and in seconds, and lie end to end from its start to its end.
with

sums as (

    select
        session_id,
        sum(nano_credits) as nano_credits,
        sum(usage_seconds) as usage_seconds,
        min(part_start_at_utc) as start_at_utc,
        max(part_end_at_utc) as end_at_utc,
        sum({{ elapsed_microseconds("part_start_at_utc", "part_end_at_utc") }}) as elapsed_microseconds
    from {{ touched_part(ref("int_session_days")) }}
    group by session_id

)

select
    sessions.session_id,
    sessions.cost_nano_credits,
    sums.nano_credits
from {{ touched_part(ref("int_sessions")) }} as sessions
full outer join sums on sessions.session_id = sums.session_id
where
    sums.nano_credits is distinct from sessions.cost_nano_credits
    or sums.usage_seconds is distinct from sessions.usage_seconds
    or sums.start_at_utc is distinct from sessions.started_at_utc
    or sums.end_at_utc is distinct from sessions.end_at_utc
    or sums.elapsed_microseconds is distinct from sessions.elapsed_microseconds
