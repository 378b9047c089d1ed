-- Purpose: the usage of each user on each UTC day.
-- Grain: one row per user and UTC day with a session part (external_user_id, usage_date).
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_usage"},
) }}

with

session_days as (

    select * from {{ ref("int_session_days") }}
    {{ only_changed(ref("int_user_periods_changed_by_usage"), ["external_user_id", "billing_period"]) }}

)

select
    session_days.external_user_id,
    session_days.usage_date,
    session_days.billing_period,
    count(*) as session_count,
    sum(session_days.usage_seconds)::bigint as usage_seconds,
    {{ wide_sum("session_days.nano_credits") }}::{{ wide_integer() }} as nano_credits
from session_days
group by session_days.external_user_id, session_days.usage_date, session_days.billing_period
