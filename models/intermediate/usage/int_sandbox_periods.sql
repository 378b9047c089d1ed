-- Purpose: when each user first and last ran each sandbox within a billing period.
-- Grain: one row per user, billing period and sandbox (external_user_id, billing_period, sandbox_id).
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
    where sandbox_id is not null

)

select
    parts.external_user_id,
    parts.billing_period,
    parts.sandbox_id,
    min(parts.part_start_at_utc) as first_started_at_utc,
    max(parts.part_end_at_utc) as last_end_at_utc
from parts
group by parts.external_user_id, parts.billing_period, parts.sandbox_id
