-- Purpose: when use came to a limit of credits or of concurrent sessions (rules 15 and 17). That of sandboxes hangs on all of
--          a user's past, and is told in fct_quota_utilization.
-- Grain: one row per user, billing period and quota whose limit was reached (external_user_id, billing_period, quota).
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_limits"},
) }}

with

measured as (

    select * from {{ ref("int_quota_usage") }}
    {{ only_changed(ref("int_user_periods_changed_by_limits"), ["external_user_id", "billing_period"]) }}

),

parts as (

    select
        session_id,
        external_user_id,
        billing_period,
        part_end_at_utc,
        {{ nano_to_credits("nano_credits") }} as credits
    from {{ ref("int_session_periods") }}
    {{ only_changed(ref("int_user_periods_changed_by_limits"), ["external_user_id", "billing_period"]) }}

),

concurrency as (

    select * from {{ ref("int_concurrency_levels") }}
    {{ only_changed(ref("int_user_periods_changed_by_limits"), ["external_user_id", "billing_period"]) }}

),

targets as (

    select
        measured.external_user_id,
        measured.billing_period,
        measured.quota,
        100 as threshold_percent,
        measured.limit_value,
        measured.used_value
    from measured
    where measured.limit_value is not null

),

reached as (

    {{ reached_moments(["credits", "concurrent"]) }}

)

select
    reached.external_user_id,
    reached.billing_period,
    reached.quota,
    reached.reached_at_utc
from reached
