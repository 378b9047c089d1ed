-- Purpose: when each user first and last ran a session for each project within a billing period, and in which workspaces.
-- Grain: one row per user, billing period and project (external_user_id, billing_period, external_project_id).
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_usage"},
) }}

with

parts as (

    select * from {{ ref("int_session_periods") }}
    {{ only_changed(ref("int_user_periods_changed_by_usage"), ["external_user_id", "billing_period"]) }}
    where external_project_id is not null

)

select
    parts.external_user_id,
    parts.billing_period,
    parts.external_project_id,
    min(parts.part_start_at_utc) as first_started_at_utc,
    max(parts.part_end_at_utc) as last_end_at_utc,
    min(parts.workspace_id) as lowest_workspace_id,
    max(parts.workspace_id) as highest_workspace_id
from parts
group by parts.external_user_id, parts.billing_period, parts.external_project_id
