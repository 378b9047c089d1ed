-- Purpose: every project that a session or the vendor's usage report names, with its user, its workspace and its use.
-- Grain: one row per project (external_project_id).

with

project_periods as (

    select * from {{ ref("int_project_periods") }}

),

usage_dimensions as (

    select * from {{ ref("int_usage_dimensions") }}
    where external_project_id is not null

),

named as (

    select
        project_periods.external_project_id,
        project_periods.external_user_id,
        project_periods.lowest_workspace_id,
        project_periods.highest_workspace_id,
        project_periods.first_started_at_utc,
        project_periods.last_end_at_utc
    from project_periods
    union all
    select
        usage_dimensions.external_project_id,
        usage_dimensions.external_user_id,
        usage_dimensions.workspace_id as lowest_workspace_id,
        usage_dimensions.workspace_id as highest_workspace_id,
        null::timestamp as first_started_at_utc,
        null::timestamp as last_end_at_utc
    from usage_dimensions

)

select
    named.external_project_id,
    -- A user or a workspace is shown only if it is the only one.
    case
        when min(named.external_user_id) = max(named.external_user_id) then min(named.external_user_id)
    end as external_user_id,
    case
        when min(named.lowest_workspace_id) = max(named.highest_workspace_id) then min(named.lowest_workspace_id)
    end as workspace_id,
    count(distinct named.external_user_id)::bigint as user_count,
    min(named.first_started_at_utc) as first_started_at_utc,
    max(named.last_end_at_utc) as last_end_at_utc
from named
group by named.external_project_id
