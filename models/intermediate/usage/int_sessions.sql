-- Purpose: the sessions that count (neither rejected nor void), each with its owner (rule 9) and its interval (rule 12).
-- Grain: one row per session (session_id).
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["row_hash"],
    meta={"changes": "int_changed_sessions", "changed_keys": ["row_hash", "load_id"]},
) }}

with

sessions as (

    select * from {{ ref("stg_miosa__usage_sessions") }}
    {{ only_changed(ref("int_changed_sessions"), ["row_hash", "load_id"]) }}

),

owners as (

    select * from {{ ref("int_sandbox_owners") }}

),

loads as (

    select * from {{ ref("stg_miosa__loads") }}

),

intervals as (

    select
        sessions.session_id,
        sessions.sandbox_id,
        sessions.external_project_id,
        sessions.workspace_id,
        sessions.load_id,
        sessions.row_number,
        sessions.row_hash,
        sessions.started_at_utc,
        sessions.duration_seconds,
        sessions.cost_nano_credits,
        sessions.is_cost_rounded,
        sessions.is_running as is_provisional,
        coalesce(
            sessions.external_user_id, owners.external_user_id, '{{ unattributed() }}'
        ) as external_user_id,
        sessions.external_user_id is null as is_owned_by_sandbox,
        sessions.external_user_id is not null or owners.external_user_id is not null as is_attributed,
        -- End of a running session: its start plus the reported duration, else the time at which it was read.
        coalesce(
            sessions.ended_at_utc,
            {{ add_seconds("sessions.started_at_utc", "sessions.duration_seconds") }},
            greatest(loads.started_at_utc, sessions.started_at_utc)
        ) as end_at_utc
    from sessions
    inner join loads on sessions.load_id = loads.load_id
    left join owners
        on
            sessions.sandbox_id = owners.sandbox_id
            and sessions.started_at_utc >= owners.valid_from_utc
            and (owners.valid_to_utc is null or sessions.started_at_utc < owners.valid_to_utc)
    where
        sessions.rejection_reason is null
        and not sessions.is_void

)

select
    intervals.session_id,
    intervals.external_user_id,
    intervals.is_attributed,
    intervals.is_owned_by_sandbox,
    intervals.sandbox_id,
    intervals.external_project_id,
    intervals.workspace_id,
    intervals.load_id,
    intervals.row_number,
    intervals.row_hash,
    intervals.started_at_utc,
    intervals.end_at_utc,
    intervals.is_provisional,
    intervals.cost_nano_credits,
    intervals.is_cost_rounded,
    {{ elapsed_microseconds("intervals.started_at_utc", "intervals.end_at_utc") }} as elapsed_microseconds,
    -- Billed seconds. If the vendor reports none, the elapsed whole seconds.
    coalesce(
        intervals.duration_seconds,
        {{ whole_quotient(elapsed_microseconds("intervals.started_at_utc", "intervals.end_at_utc"), "1000000") }}
    ) as usage_seconds
from intervals
