-- Purpose: every version of each usage session as the vendor sent it, and when it was read. No figure is computed from it.
-- Grain: one row per version of a session (session_id, version_number).
-- The variable show_payloads leaves the vendor's rows out.
{{ config(
    materialized="view",
    meta={"changes": "stg_miosa__changed_sessions", "changed_keys": ["load_id", "row_number"]},
) }}

select
    session_versions.session_id,
    session_versions.version_number,
    session_versions.is_newest,
    session_versions.is_void,
    session_versions.load_id,
    session_versions.row_number,
    loads.started_at_utc as read_at_utc,
    {{ shown_payload("session_versions.payload") }} as payload
from {{ ref("stg_miosa__session_versions") }} as session_versions
inner join {{ ref("stg_miosa__loads") }} as loads on session_versions.load_id = loads.load_id
