-- Purpose: every version of each usage session as the vendor sent it: the proof behind a figure, also on a copy of the marts.
-- Grain: one row per version of a session (session_id, version_number).
{{ config(materialized="view") }}

select
    session_versions.session_id,
    session_versions.version_number,
    session_versions.is_newest,
    session_versions.is_void,
    session_versions.load_id,
    session_versions.row_number,
    session_versions.read_at_utc,
    session_versions.payload
from {{ ref("int_session_versions") }} as session_versions
