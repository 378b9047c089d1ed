-- Purpose: what each user used and was charged in each billing period: the figure that everything else adds up to.
-- Grain: one row a user and billing period with a session part (external_user_id, billing_period).
{{ config(**kept("user_period")) }}

with

parts as (

    select * from {{ ref("fct_session_period_credits") }}
    {{ touched_only("user_period") }}

),

concurrency as (

    select
        external_user_id,
        billing_period,
        max(running_session_count) as peak_concurrent
    from {{ ref("int_concurrency_levels") }}
    {{ touched_only("user_period") }}
    group by external_user_id, billing_period

),

totals as (

    select
        parts.external_user_id,
        parts.billing_period,
        count(*) as session_count,
        count(distinct parts.sandbox_id) as sandbox_count,
        sum(parts.usage_seconds)::bigint as usage_seconds,
        sum(parts.credits) as credits,
        coalesce(sum(parts.credits) filter (where parts.is_provisional), 0)::decimal(38, 9) as provisional_credits
    from parts
    group by parts.external_user_id, parts.billing_period

)

select
    totals.external_user_id,
    totals.billing_period,
    {{ period_start("totals.billing_period") }}::timestamp as period_start_at_utc,
    ({{ period_start("totals.billing_period") }} + interval 1 month)::timestamp as period_end_at_utc,
    totals.external_user_id <> '{{ unattributed() }}' as is_attributed,
    totals.session_count,
    totals.sandbox_count,
    totals.usage_seconds,
    totals.credits,
    totals.provisional_credits,
    coalesce(concurrency.peak_concurrent, 0) as peak_concurrent
from totals
left join concurrency
    on
        totals.external_user_id = concurrency.external_user_id
        and totals.billing_period = concurrency.billing_period
