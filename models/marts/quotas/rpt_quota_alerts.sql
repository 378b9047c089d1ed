-- Purpose: the shares of limits that users reached in the current period, and when; and for users close to a limit, the plan
--          that would help and what this period would have cost on it.
-- Grain: one row per user, quota and reached share in the current period (external_user_id, quota, threshold_percent).
-- Uncapped limits and users without a quota have no rows. Any usage against a limit of zero counts as 100 % (rule 16).

with

period as (

    select * from {{ ref("int_current_period") }}

),

utilization as (

    select * from {{ ref("int_quota_utilization") }}

),

parts as (

    select
        session_id,
        external_user_id,
        billing_period,
        part_end_at_utc,
        {{ nano_to_credits("nano_credits") }} as credits
    from {{ ref("int_session_periods") }}

),

concurrency as (

    select * from {{ ref("int_concurrency_levels") }}

),

sandboxes as (

    select * from {{ counted_sandboxes() }}

),

upgrades as (

    select * from {{ ref("int_quota_upgrades") }}

),

thresholds as (

    select {{ each_of(quota_alert_percents()) }} as threshold_percent

),

targets as (

    select
        utilization.external_user_id,
        utilization.billing_period,
        utilization.quota,
        thresholds.threshold_percent,
        utilization.limit_value,
        utilization.used_value,
        utilization.utilization,
        period.period_start_at_utc,
        period.period_end_at_utc
    from utilization
    inner join period on utilization.billing_period = period.billing_period
    inner join thresholds
        on
            utilization.used_value > 0
            and utilization.used_value * 100 >= utilization.limit_value * thresholds.threshold_percent
            and (utilization.limit_value > 0 or thresholds.threshold_percent = 100)

),

reached as (

    {{ reached_moments(["credits", "concurrent", "sandboxes"]) }}

)

select
    targets.external_user_id,
    targets.billing_period,
    {{ period_start_date("targets.billing_period") }} as period_start_date,
    targets.quota,
    targets.threshold_percent,
    targets.limit_value,
    targets.used_value,
    targets.utilization,
    reached.reached_at_utc as crossed_at_utc,
    targets.threshold_percent = max(targets.threshold_percent) over (
        partition by targets.external_user_id, targets.quota
    ) as is_highest,
    upgrades.current_plan_id,
    upgrades.current_amount_minor,
    {{ minor_to_amount("upgrades.current_amount_minor", "upgrades.currency_exponent") }} as current_amount,
    case when upgrades.current_amount_minor is not null then upgrades.currency end as current_currency,
    upgrades.upgrade_plan_id,
    upgrades.upgrade_amount_minor,
    {{ minor_to_amount("upgrades.upgrade_amount_minor", "upgrades.currency_exponent") }} as upgrade_amount,
    case when upgrades.upgrade_plan_id is not null then upgrades.currency end as upgrade_currency
from targets
left join reached
    on
        targets.external_user_id = reached.external_user_id
        and targets.quota = reached.quota
        and targets.threshold_percent = reached.threshold_percent
left join upgrades on targets.external_user_id = upgrades.external_user_id
