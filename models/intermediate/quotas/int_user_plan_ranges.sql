-- Purpose: the plan that each user is on, on every day: the assigned plan, else the default plan.
-- Grain: one row per user and range of days on one plan (external_user_id, valid_from). The ranges of a user cover all days.
-- Users are all those whom the vendor's data names, who have an assignment, or who have limits of their own.
-- depends_on: {{ ref("int_pricing_errors") }}  (no user is on two plans on one day)

with

users as (

    select external_user_id from {{ ref("int_users") }}
    where is_attributed
    union
    select external_user_id from {{ ref("int_quota_limits") }}
    union
    select external_user_id from {{ ref("stg_billing__user_plans") }}
    union
    select external_user_id from {{ ref("stg_billing__user_quota_overrides") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

user_plans as (

    select * from {{ ref("stg_billing__user_plans") }}
    where valid_to is null or valid_from < valid_to

),

default_plan as (

    -- No row where the variable names a plan that does not exist.
    select plans.plan_id
    from plans
    where plans.plan_id = {{ text_variable("default_plan_id") }}

),

taken as (

    select
        user_plans.external_user_id,
        user_plans.valid_from,
        coalesce(user_plans.valid_to, date '9999-12-31') as valid_to
    from user_plans
    union all
    -- A range of no days at the end of time, so that the days after the last assignment are found like those before the first.
    select
        users.external_user_id,
        date '9999-12-31' as valid_from,
        date '9999-12-31' as valid_to
    from users

),

unassigned as (

    select
        taken.external_user_id,
        lag(taken.valid_to, 1, date '0001-01-01') over (
            partition by taken.external_user_id order by taken.valid_from, taken.valid_to
        ) as valid_from,
        nullif(taken.valid_from, date '9999-12-31') as valid_to
    from taken

)

select
    user_plans.external_user_id,
    user_plans.plan_id,
    user_plans.valid_from,
    user_plans.valid_to
from user_plans
union all
select
    unassigned.external_user_id,
    default_plan.plan_id,
    unassigned.valid_from,
    unassigned.valid_to
from unassigned
left join default_plan on true
where unassigned.valid_from < coalesce(unassigned.valid_to, date '9999-12-31')
