-- Purpose: which runs of dbt the tables come from, and which of them decides whether the figures are proven (rule 32).
-- Grain: one row per kind of run, for the newest run of that kind (build_kind).
-- A view on views, so that it counts a run as soon as it ended, and a load as soon as it was landed.
{{ config(materialized="view") }}

with

starts as (

    select * from {{ ref("stg_builds__starts") }}

),

history as (

    select * from {{ ref("stg_builds__history") }}

),

loads as (

    select * from {{ ref("stg_miosa__loads") }}

),

newest_runs as (

    select
        starts.*,
        history.ended_at_utc,
        history.node_count,
        history.failure_count,
        -- A start without an end: the run was killed, or still goes on.
        coalesce(history.status, 'interrupted') as status
    from starts
    left join history on starts.build_number = history.build_number
    qualify row_number() over (partition by starts.build_kind order by starts.build_number desc) = 1

),

deciding_run as (

    -- A test changes no table, so only one that did not succeed says something about what a build proved before.
    select max(newest_runs.build_number) as build_number
    from newest_runs
    where
        newest_runs.build_kind not in ('test', 'test_selected')
        or newest_runs.status <> 'success'

),

newer_loads as (

    select
        newest_runs.build_number,
        count(*) as load_count,
        count(case when loads.resource = 'quotas' then 1 end) as quota_load_count
    from newest_runs
    inner join loads on coalesce(newest_runs.newest_load_id, 0) < loads.load_id
    group by newest_runs.build_number

)

select
    newest_runs.build_kind,
    newest_runs.build_number,
    newest_runs.build_id,
    newest_runs.command,
    newest_runs.status,
    newest_runs.started_at_utc,
    newest_runs.ended_at_utc,
    newest_runs.code_version,
    newest_runs.newest_load_id,
    newest_runs.node_count,
    newest_runs.failure_count,
    coalesce(newer_loads.load_count, 0)::bigint as newer_load_count,
    coalesce(newer_loads.quota_load_count, 0)::bigint as newer_quota_load_count,
    newer_loads.build_number is not null as is_raw_newer,
    deciding_run.build_number is not null as is_deciding,
    -- A refused close built and tested the whole project like any other build.
    deciding_run.build_number is not null
    and newest_runs.build_kind in ('build', 'close')
    and newest_runs.status in ('success', 'refused') as is_proven
from newest_runs
left join newer_loads on newest_runs.build_number = newer_loads.build_number
left join deciding_run on newest_runs.build_number = deciding_run.build_number
