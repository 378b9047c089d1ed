-- Purpose: the rows of raw.usage_sessions that this build has to read: rows of loads that staging has not read yet, and
--          staged rows that share a digest with them.
-- Grain: one row per row of raw.usage_sessions (load_id, row_number). Empty in a full build.
-- Corrections can concern any earlier month, so the rows are found by digest; all other rows of raw stay unread.
{{ config(tags=["changes"]) }}
{%- set raw_sessions = source("miosa", "usage_sessions") %}
{%- set staged_sessions = source("previous_staging", "stg_miosa__usage_sessions") %}
{%- set unfinished = is_unfinished() %}

{% if is_partial_build() %}
with

new_rows as (

    select
        row_hash,
        row_key,
        has_id,
        load_id,
        row_number
    from {{ raw_sessions }}
    where load_id > (select coalesce(max(staged.load_id), 0) from {{ staged_sessions }} as staged)

),

found as (

    select
        new_rows.row_hash,
        new_rows.load_id,
        new_rows.row_number
    from new_rows
    union
    select
        earlier.row_hash,
        earlier.load_id,
        earlier.row_number
    from {{ this }} as earlier
    where earlier.{{ unfinished }}

),

-- Sessions that share a digest with a changed one are deleted with it, so they have to be read again.
of_same_digest as (

    select
        staged.row_hash,
        staged.load_id,
        staged.row_number
    from {{ staged_sessions }} as staged
    left join new_rows
        on
            staged.row_hash = new_rows.row_hash
            and staged.row_key = new_rows.row_key
            and staged.has_session_id = new_rows.has_id
    where
        new_rows.row_hash is null
        and staged.row_hash in (select found.row_hash from found)

)

select
    found.row_hash,
    found.load_id,
    found.row_number,
    '{{ invocation_id }}' as invocation_id
from found
union
select
    of_same_digest.row_hash,
    of_same_digest.load_id,
    of_same_digest.row_number,
    '{{ invocation_id }}' as invocation_id
from of_same_digest
{% else %}
select
    null::bigint as row_hash,
    null::bigint as load_id,
    null::bigint as row_number,
    null::string as invocation_id
from (select 1 as one) as nothing
where nothing.one = 0
{% endif %}
