-- Purpose: the plan of each user on each billable day: days of an assignment, and days on the default plan (rule 19).
-- Grain: one row per user, billing period and run of days on one assignment (external_user_id, billing_period, from_date).
-- The plan is null if the days need a default plan and none is set; int_pricing_errors then stops the build.

with

periods as (

    select * from {{ ref("int_billing_periods") }}

),

user_plans as (

    select * from {{ ref("stg_billing__user_plans") }}

),

user_periods as (

    select * from {{ ref("int_user_periods") }}
    where
        first_credits_date is not null
        and external_user_id <> '{{ unattributed() }}'

),

user_days as (

    select * from {{ ref("int_user_days") }}
    where nano_credits > 0

),

assigned as (

    select
        user_plans.external_user_id,
        user_plans.plan_id,
        periods.billing_period,
        greatest(user_plans.valid_from, periods.period_start) as from_date,
        least(coalesce(user_plans.valid_to, periods.period_end), periods.period_end) as to_date
    from user_plans
    inner join periods
        on
            user_plans.valid_from < periods.period_end
            and coalesce(user_plans.valid_to, periods.period_end) > periods.period_start
    where
        user_plans.external_user_id is not null
        and (user_plans.valid_to is null or user_plans.valid_from < user_plans.valid_to)

),

-- Days only have to be compared if no single assignment covers the whole period.
partly_assigned as (

    select
        assigned.external_user_id,
        assigned.billing_period
    from assigned
    inner join periods on assigned.billing_period = periods.billing_period
    group by assigned.external_user_id, assigned.billing_period
    having
        not bool_or(
            assigned.from_date = periods.period_start
            and assigned.to_date = periods.period_end
        )

),

used_unassigned as (

    select
        user_periods.external_user_id,
        user_periods.billing_period,
        user_periods.first_credits_date as usage_date
    from user_periods
    left join assigned
        on
            user_periods.external_user_id = assigned.external_user_id
            and user_periods.billing_period = assigned.billing_period
    where assigned.external_user_id is null
    union all
    select
        user_days.external_user_id,
        user_days.billing_period,
        user_days.usage_date
    from user_days
    inner join partly_assigned
        on
            user_days.external_user_id = partly_assigned.external_user_id
            and user_days.billing_period = partly_assigned.billing_period
    left join assigned
        on
            user_days.external_user_id = assigned.external_user_id
            and user_days.billing_period = assigned.billing_period
            and user_days.usage_date >= assigned.from_date
            and user_days.usage_date < assigned.to_date
    where assigned.external_user_id is null

),

-- Credits on a single unassigned day put all unassigned days of the period on the default plan.
on_default as (

    select
        used_unassigned.external_user_id,
        used_unassigned.billing_period,
        min(used_unassigned.usage_date) as first_used_date
    from used_unassigned
    inner join periods on used_unassigned.billing_period = periods.billing_period
    group by used_unassigned.external_user_id, used_unassigned.billing_period

),

taken as (

    select
        assigned.external_user_id,
        assigned.billing_period,
        assigned.from_date,
        assigned.to_date
    from assigned
    inner join on_default
        on
            assigned.external_user_id = on_default.external_user_id
            and assigned.billing_period = on_default.billing_period
    union all
    -- An empty run of days at the period's end, so that the gap after the last assignment is found like all others.
    select
        on_default.external_user_id,
        on_default.billing_period,
        periods.period_end as from_date,
        periods.period_end as to_date
    from on_default
    inner join periods on on_default.billing_period = periods.billing_period

),

gaps as (

    select
        taken.external_user_id,
        taken.billing_period,
        lag(taken.to_date, 1, periods.period_start) over (
            partition by taken.external_user_id, taken.billing_period order by taken.from_date, taken.to_date
        ) as from_date,
        taken.from_date as to_date
    from taken
    inner join periods on taken.billing_period = periods.billing_period

)

select
    assigned.external_user_id,
    assigned.billing_period,
    assigned.from_date,
    assigned.to_date,
    assigned.plan_id,
    false as is_default,
    null::date as first_used_date
from assigned
union all
select
    gaps.external_user_id,
    gaps.billing_period,
    gaps.from_date,
    gaps.to_date,
    {{ text_variable("default_plan_id") }} as plan_id,
    true as is_default,
    on_default.first_used_date
from gaps
inner join on_default
    on
        gaps.external_user_id = on_default.external_user_id
        and gaps.billing_period = on_default.billing_period
where gaps.from_date < gaps.to_date
