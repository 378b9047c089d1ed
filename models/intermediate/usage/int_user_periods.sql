-- Purpose: the usage of each user in each billing period, aggregated in one scan of session parts.
-- Grain: one row per user and billing period with a session part (external_user_id, billing_period).
-- All per-period figures of a user are columns here, so that no later model scans sessions again.
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_usage"},
) }}

with

session_periods as (

    select * from {{ ref("int_session_periods") }}
    {{ only_changed(ref("int_user_periods_changed_by_usage"), ["external_user_id", "billing_period"]) }}

),

concurrency as (

    select
        external_user_id,
        billing_period,
        max(running_session_count) as peak_concurrent
    from {{ ref("int_concurrency_levels") }}
    {{ only_changed(ref("int_user_periods_changed_by_usage"), ["external_user_id", "billing_period"]) }}
    group by external_user_id, billing_period

),

days_with_credits as (

    select
        external_user_id,
        billing_period,
        min(usage_date) as first_credits_date
    from {{ ref("int_user_days") }}
    {{ only_changed(ref("int_user_periods_changed_by_usage"), ["external_user_id", "billing_period"]) }}
    where nano_credits > 0
    group by external_user_id, billing_period

),

periods as (

    select
        session_periods.external_user_id,
        session_periods.billing_period,
        count(*) as session_count,
        count(distinct session_periods.sandbox_id) as sandbox_count,
        sum(session_periods.usage_seconds)::bigint as usage_seconds,
        {{ wide_sum("session_periods.nano_credits") }} as nano_credits,
        {{ wide_sum("case when session_periods.is_provisional then session_periods.nano_credits else 0 end") }} as provisional_nano_credits,
        min(session_periods.part_start_at_utc) as first_start_at_utc,
        max(session_periods.part_end_at_utc) as last_end_at_utc,
        {{ wide_sum("session_periods.started_nano_credits") }} as started_nano_credits,
        {{ wide_sum("session_periods.ended_nano_credits") }} as ended_nano_credits,
        count(case when session_periods.is_cost_rounded then 1 end) as rounded_session_count
    from session_periods
    group by session_periods.external_user_id, session_periods.billing_period

)

select
    periods.external_user_id,
    periods.billing_period,
    periods.session_count,
    periods.sandbox_count,
    periods.usage_seconds,
    periods.nano_credits::{{ wide_integer() }} as nano_credits,
    periods.provisional_nano_credits::{{ wide_integer() }} as provisional_nano_credits,
    coalesce(concurrency.peak_concurrent, 0) as peak_concurrent,
    periods.first_start_at_utc,
    periods.last_end_at_utc,
    days_with_credits.first_credits_date,
    periods.started_nano_credits,
    periods.ended_nano_credits,
    periods.rounded_session_count
from periods
left join concurrency
    on
        periods.external_user_id = concurrency.external_user_id
        and periods.billing_period = concurrency.billing_period
left join days_with_credits
    on
        periods.external_user_id = days_with_credits.external_user_id
        and periods.billing_period = days_with_credits.billing_period
