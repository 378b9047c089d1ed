-- Purpose: the vendor's list of sandboxes, which names the owner of each.
-- Grain: one row per version of a sandbox (row_key, load_id, row_number).
-- All versions are kept: an owner from an earlier version counts if a later one names none (rule 9). A version without a payload says
-- that the list no longer holds the sandbox.

with

versions as (

    select * from {{ source("miosa", "sandboxes") }}

),

parsed as (

    select
        versions.load_id,
        versions.row_number,
        versions.row_key,
        versions.has_id,
        versions.payload,
        {{ json_fields(
            "coalesce(versions.payload_normalized, versions.payload)",
            texts=["created_at", "status"], values=["external_user_id"],
        ) }} as fields,
        row_number() over (
            partition by versions.row_hash, versions.row_key, versions.has_id
            order by versions.load_id desc, versions.row_number desc
        ) = 1 as is_current
    from versions

),

typed as (

    select
        parsed.load_id,
        parsed.row_number,
        parsed.row_key,
        parsed.has_id,
        parsed.is_current,
        parsed.payload,
        {{ json_id("parsed.fields.external_user_id") }} as external_user_id,
        {{ parse_utc("parsed.fields.created_at") }} as created_at_utc,
        -- The vendor names the event `destroyed`; the other two are the usual words for the same.
        parsed.payload is not null
        and coalesce(lower(parsed.fields.status) not in ('destroyed', 'deleted', 'terminated'), true) as is_there
    from parsed

)

select
    typed.load_id,
    typed.row_number,
    typed.row_key,
    typed.is_current,
    typed.external_user_id,
    typed.created_at_utc,
    typed.is_there,
    case when typed.has_id then typed.row_key end as sandbox_id,
    case
        when not typed.has_id then 'missing_id'
        when typed.external_user_id = '{{ unattributed() }}' then 'reserved_user_id'
    end as rejection_reason,
    case when rejection_reason is not null then typed.payload end as rejected_payload
from typed
