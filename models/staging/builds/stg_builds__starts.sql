-- Purpose: the runs of dbt that began on this warehouse.
-- Grain: one row per run (build_number).
-- A view, so that a run counts as soon as it is recorded.
{{ config(materialized="view") }}

with

starts as (

    select * from {{ source("builds", "starts") }}

)

select
    starts.build_number,
    starts.build_id,
    starts.build_kind,
    starts.command,
    starts.started_at_utc,
    starts.code_version,
    starts.newest_load_id
from starts
