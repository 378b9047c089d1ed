-- Purpose: the newest live counters that the vendor reported, beside ours at the same instant. They are shown, never billed.
-- Grain: one row per user and counter (external_user_id, counter).

with

quotas as (

    select * from {{ ref("stg_miosa__quotas") }}
    where
        rejection_reason is null
        and has_quota

),

loads as (

    select * from {{ ref("stg_miosa__loads") }}

),

sandboxes as (

    select * from {{ ref("int_user_sandboxes") }}

),

owned_sandboxes as (

    select * from {{ ref("int_owned_sandboxes") }}

),

sessions as (

    select * from {{ ref("int_sessions") }}

),

readings as (

    {% for counter, column in [
        ("concurrent", "running_session_count"), ("sandboxes", "sandbox_count"), ("owned_sandboxes", "owned_sandbox_count"),
    ] %}
    select
        quotas.external_user_id,
        '{{ counter }}' as counter,
        quotas.{{ column }} as vendor_value,
        quotas.load_id,
        quotas.row_number
    from quotas
    where quotas.{{ column }} is not null
    {{ "union all" if not loop.last }}
    {% endfor %}

),

newest as (

    select
        readings.external_user_id,
        readings.counter,
        readings.vendor_value,
        loads.started_at_utc as read_at_utc
    from readings
    inner join loads on readings.load_id = loads.load_id
    qualify row_number() over (
        partition by readings.external_user_id, readings.counter order by readings.load_id desc, readings.row_number desc
    ) = 1

),

ours as (

    select
        newest.external_user_id,
        newest.counter,
        count(*) as our_value
    from newest
    inner join sandboxes
        on
            newest.external_user_id = sandboxes.external_user_id
            and newest.read_at_utc >= sandboxes.first_started_at_utc
    where newest.counter = 'sandboxes'
    group by newest.external_user_id, newest.counter
    union all
    select
        newest.external_user_id,
        newest.counter,
        count(*) as our_value
    from newest
    inner join owned_sandboxes
        on
            newest.external_user_id = owned_sandboxes.external_user_id
            and newest.read_at_utc >= owned_sandboxes.owned_from_utc
            and (owned_sandboxes.owned_to_utc is null or newest.read_at_utc < owned_sandboxes.owned_to_utc)
    where newest.counter = 'owned_sandboxes'
    group by newest.external_user_id, newest.counter
    union all
    -- A running session always counts: its end_at_utc is only the time at which it was last read, a moment before.
    select
        newest.external_user_id,
        newest.counter,
        count(*) as our_value
    from newest
    inner join sessions
        on
            newest.external_user_id = sessions.external_user_id
            and newest.read_at_utc >= sessions.started_at_utc
            and (newest.read_at_utc < sessions.end_at_utc or sessions.is_provisional)
    where newest.counter = 'concurrent'
    group by newest.external_user_id, newest.counter

)

select
    newest.external_user_id,
    newest.counter,
    newest.read_at_utc,
    newest.vendor_value,
    coalesce(ours.our_value, 0)::bigint as our_value,
    (newest.vendor_value - coalesce(ours.our_value, 0))::bigint as difference
from newest
left join ours
    on
        newest.external_user_id = ours.external_user_id
        and newest.counter = ours.counter
