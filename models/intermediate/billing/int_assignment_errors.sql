-- Purpose: what is wrong with user_plans.csv, which assigns plans to users, in words (rule 18).
-- Grain: one row per error (error_number).

with

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

user_plans as (

    select * from {{ ref("stg_billing__user_plans") }}

),

unknown as (

    select
        user_plans.external_user_id,
        user_plans.plan_id,
        'user_plans.csv: user ' || coalesce({{ quoted_for_message("user_plans.external_user_id") }}, 'without an id') || ' is on plan '
        || coalesce({{ quoted_for_message("user_plans.plan_id") }}, 'without an id')
        || coalesce(' from ' || user_plans.valid_from::string, '') || case
            when user_plans.external_user_id is null then ', which is nobody'
            when user_plans.external_user_id = '{{ unattributed() }}' then ', which stands for nobody and is never invoiced'
            else ', which is not in plans.csv'
        end as message
    from user_plans
    left join plans on user_plans.plan_id = plans.plan_id
    where
        plans.plan_id is null
        or user_plans.external_user_id is null
        or user_plans.external_user_id = '{{ unattributed() }}'

),

backwards as (

    select
        user_plans.external_user_id,
        user_plans.plan_id,
        user_plans.valid_to as day,
        'user_plans.csv: user ' || coalesce({{ quoted_for_message("user_plans.external_user_id") }}, 'without an id') || ' on plan '
        || coalesce({{ quoted_for_message("user_plans.plan_id") }}, 'without an id') || ' from ' || user_plans.valid_from::string
        || ': valid_to ' || user_plans.valid_to::string || ' lies before it' as message
    from user_plans
    where user_plans.valid_to < user_plans.valid_from

),

plan_overlaps as (

    {{ overlapping_ranges("user_plans", "external_user_id") }}

),

on_two_plans as (

    select
        plan_overlaps.external_user_id,
        plan_overlaps.plan_id,
        plan_overlaps.valid_from as day,
        'user_plans.csv: user ' || {{ quoted_for_message("plan_overlaps.external_user_id") }} || ' is on two plans on '
        || plan_overlaps.valid_from::string || ', ' || coalesce({{ quoted_for_message("plan_overlaps.plan_id") }}, 'one without an id')
        || ' is one of them' as message
    from plan_overlaps

),

errors as (

    select
        'unknown' as error,
        unknown.external_user_id,
        unknown.plan_id,
        null::date as day,
        unknown.message
    from unknown
    union all
    select
        'backwards' as error,
        backwards.external_user_id,
        backwards.plan_id,
        backwards.day,
        backwards.message
    from backwards
    union all
    select
        'overlap' as error,
        on_two_plans.external_user_id,
        on_two_plans.plan_id,
        on_two_plans.day,
        on_two_plans.message
    from on_two_plans

)

select
    row_number() over (order by errors.message) as error_number,
    errors.error,
    errors.external_user_id,
    errors.plan_id,
    errors.day,
    errors.message
from errors
