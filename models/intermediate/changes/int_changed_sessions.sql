-- Purpose: the changed sessions, which this build rebuilds: those with changed rows in raw, those whose sandbox has a different
--          owner than before, and all sessions that share a digest with them.
-- Grain: one row per current or replaced row of such a session in raw (load_id, row_number). Empty in a full build.
{{ config(tags=["changes"]) }}
{%- set changed_rows = ref("stg_miosa__changed_sessions") %}
{%- set owners = ref("int_sandbox_owners") %}
{%- set sessions = source("previous_intermediate", "int_sessions") %}
{%- set unfinished = is_unfinished() %}

{% if is_partial_build() %}
with

with_new_owner as (

    select sessions.row_hash
    from {{ sessions }} as sessions
    left join {{ owners }} as owners
        on
            sessions.sandbox_id = owners.sandbox_id
            and sessions.started_at_utc >= owners.valid_from_utc
            and (owners.valid_to_utc is null or sessions.started_at_utc < owners.valid_to_utc)
    where
        sessions.is_owned_by_sandbox
        and sessions.external_user_id <> coalesce(owners.external_user_id, '{{ unattributed() }}')

)

select
    row_hash,
    load_id,
    row_number,
    '{{ invocation_id }}' as invocation_id
from {{ changed_rows }}
union
select
    sessions.row_hash,
    sessions.load_id,
    sessions.row_number,
    '{{ invocation_id }}' as invocation_id
from {{ sessions }} as sessions
where sessions.row_hash in (select with_new_owner.row_hash from with_new_owner)
union
select
    earlier.row_hash,
    earlier.load_id,
    earlier.row_number,
    '{{ invocation_id }}' as invocation_id
from {{ this }} as earlier
where earlier.{{ unfinished }}
{% else %}
select
    row_hash,
    load_id,
    row_number,
    invocation_id
from {{ changed_rows }}
{% endif %}
