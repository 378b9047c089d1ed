-- Purpose: the loads that the extractor proved complete and landed, and those that the key may not read. Coverage and the order of
--          versions are computed from them.
-- Grain: one row per load (load_id).
{{ config(materialized="view") }}

with

loads as (

    select * from {{ source("miosa", "loads") }}

)

select
    loads.load_id,
    loads.run_id,
    loads.resource,
    loads.window_start_at_utc,
    loads.window_end_at_utc,
    loads.started_at_utc,
    loads.ended_at_utc,
    loads.pages as page_count,
    loads.rows_listed as listed_row_count,
    loads.rows_added as added_row_count,
    loads.api_total as api_total_count,
    loads.http_status,
    loads.outcome
from loads
