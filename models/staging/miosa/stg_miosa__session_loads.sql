-- Purpose: which load brought each version of a session, without its content: to tell when something became known.
-- Grain: one row per version of a session, which is also one row of raw (load_id, row_number). Rows without a usable id are left out.
{{ config(materialized="view") }}

select
    usage_sessions.load_id,
    usage_sessions.row_number,
    usage_sessions.row_key as session_id
from {{ source("miosa", "usage_sessions") }} as usage_sessions
where usage_sessions.has_id
