-- Purpose: which load brought each version of a session, without its content: to tell when something became known.
-- Grain: one row per row of raw (load_id, row_number), which is a version of a session if it has a usable id.
{{ config(materialized="view") }}

select
    usage_sessions.load_id,
    usage_sessions.row_number,
    usage_sessions.row_key as session_id,
    usage_sessions.has_id as has_session_id
from {{ source("miosa", "usage_sessions") }} as usage_sessions
