-- Purpose: which runs of dbt the marts come from, and whether what they show is proven: `publish` reads it before it sends anything.
-- Grain: one row per kind of run, for the newest run of that kind (build_kind).
-- A view on views, so that it counts a run as soon as it ended, and a load as soon as it was landed.
{{ config(materialized="view") }}

select
    builds.build_kind,
    builds.build_number,
    builds.build_id,
    builds.command,
    builds.status,
    builds.started_at_utc,
    builds.ended_at_utc,
    builds.code_version,
    builds.newest_load_id,
    builds.node_count,
    builds.failure_count,
    builds.newer_load_count,
    builds.newer_quota_load_count,
    builds.is_raw_newer,
    builds.is_deciding,
    builds.is_proven
from {{ ref("int_builds") }} as builds
