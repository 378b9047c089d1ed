-- Purpose: the runs of dbt that came to their end, and how they ended.
-- Grain: one row per run (build_number).
-- A view, so that a run counts as soon as it is recorded.
{{ config(materialized="view") }}

with

history as (

    select * from {{ source("builds", "history") }}

)

select
    history.build_number,
    history.ended_at_utc,
    history.node_count,
    history.failure_count,
    history.status
from history
