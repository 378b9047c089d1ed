-- Purpose: which plans each user has on which days of a period, as one key: equal keys, equal plans on every day. A close freezes it
--          with the lines, so that an adjustment can tell a changed plan from a changed price.
-- Grain: one row per user and billing period with open lines or an adjustment (external_user_id, billing_period).

with

open_periods as (

    select * from {{ ref("int_billing_periods") }}
    where not is_closed

),

adjustments as (

    select * from {{ ref("int_adjustments") }}

),

rating_periods as (

    select rating_periods.*
    from {{ ref("int_rating_periods") }} as rating_periods
    left join open_periods on rating_periods.billing_period = open_periods.billing_period
    where
        open_periods.billing_period is not null
        or (rating_periods.external_user_id, rating_periods.billing_period) in (
            select
                adjustments.external_user_id,
                adjustments.service_period
            from adjustments
        )

),

{{ plan_days_keys() }}

select
    plan_days_keys.external_user_id,
    plan_days_keys.billing_period,
    plan_days_keys.plan_days_key
from plan_days_keys
