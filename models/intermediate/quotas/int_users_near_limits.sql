-- Purpose: the users who are close to a limit in the current period, with their use of each quota and the plan of the
--          period's last day.
-- Grain: one row per user with a quota at `warning` or above in the current period (external_user_id).

with

period as (

    select
        billing_period,
        period_start_at_utc::date as period_start,
        period_end_at_utc::date as period_end
    from {{ ref("int_current_period") }}

),

utilization as (

    select * from {{ ref("int_quota_utilization") }}
    where external_user_id <> '{{ unattributed() }}'

),

plan_ranges as (

    select * from {{ ref("int_user_plan_ranges") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

currencies as (

    select * from {{ ref("stg_billing__currencies") }}

),

near_limits as (

    select
        utilization.external_user_id,
        period.billing_period,
        period.period_start,
        period.period_end,
        period.period_end - 1 as last_day,
        {%- for quota in ["credits", "concurrent", "sandboxes", "storage_gb"] %}
        max(utilization.used_value) filter (where utilization.quota = '{{ quota }}') as {{ quota }}_used
        {{- "," if not loop.last }}
        {%- endfor %}
    from utilization
    inner join period on utilization.billing_period = period.billing_period
    group by utilization.external_user_id, period.billing_period, period.period_start, period.period_end
    having bool_or(utilization.status in ('warning', 'at_limit', 'over_limit'))

)

select
    near_limits.external_user_id,
    near_limits.billing_period,
    near_limits.period_start,
    near_limits.period_end,
    near_limits.last_day,
    near_limits.credits_used,
    near_limits.concurrent_used,
    near_limits.sandboxes_used,
    near_limits.storage_gb_used,
    plans.plan_id,
    plans.currency,
    currencies.exponent as currency_exponent
from near_limits
left join plan_ranges
    on
        near_limits.external_user_id = plan_ranges.external_user_id
        and near_limits.last_day >= plan_ranges.valid_from
        and near_limits.last_day < coalesce(plan_ranges.valid_to, date '9999-12-31')
left join plans on plan_ranges.plan_id = plans.plan_id
left join currencies on plans.currency = currencies.currency
