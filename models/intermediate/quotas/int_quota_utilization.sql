-- Purpose: how close each user is to each limit in each billing period, and when the limit was reached.
-- Grain: one row per user, billing period and quota (external_user_id, billing_period, quota), for every user with usage
--        in the period or a quota at any time.

with

measured as (

    select * from {{ ref("int_quota_usage") }}

),

reached_limits as (

    select * from {{ ref("int_reached_limits") }}

),

sandboxes as (

    select * from {{ counted_sandboxes() }}

),

targets as (

    select
        measured.external_user_id,
        measured.billing_period,
        measured.quota,
        100 as threshold_percent,
        measured.limit_value,
        measured.used_value,
        measured.period_start_at_utc
    from measured
    where measured.limit_value is not null

),

reached as (

    select
        reached_limits.external_user_id,
        reached_limits.billing_period,
        reached_limits.quota,
        reached_limits.reached_at_utc
    from reached_limits
    union all
    select
        sandbox_moments.external_user_id,
        sandbox_moments.billing_period,
        sandbox_moments.quota,
        sandbox_moments.reached_at_utc
    from ({{ reached_moments(["sandboxes"]) }}) as sandbox_moments

)

select
    measured.external_user_id,
    measured.billing_period,
    measured.quota,
    measured.limit_value,
    measured.used_value,
    (measured.limit_value - measured.used_value)::decimal(38, 9) as headroom_value,
    {{ capped_utilization("measured.used_value", "measured.limit_value") }} as utilization,
    case
        when not measured.has_quota then 'no_quota'
        when measured.limit_value is null then 'uncapped'
        when measured.used_value is null then 'not_measured'
        when measured.used_value > measured.limit_value then 'over_limit'
        when measured.limit_value = 0 then 'ok'
        when measured.used_value = measured.limit_value then 'at_limit'
        when measured.used_value * 100 >= measured.limit_value * {{ var("quota_warning_percent") }} then 'warning'
        else 'ok'
    end as status,
    measured.has_limit_changed,
    reached.reached_at_utc as reached_limit_at_utc
from measured
left join reached
    on
        measured.external_user_id = reached.external_user_id
        and measured.billing_period = reached.billing_period
        and measured.quota = reached.quota
