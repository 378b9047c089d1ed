-- Purpose: users on a plan in the first open period who have neither a session nor a sandbox at the vendor, each with the users
--          on the default plan whose id is similar: often the same person, spelt differently in user_plans.csv.
-- Grain: one row per unknown assigned user and similar user (assigned_user_id, resembling_user_id). The latter is null if no
--        id is similar.
-- The pairs are only reported; ids are never matched automatically.

with

first_open as (

    select * from {{ ref("int_billing_periods") }}
    where is_first_open

),

user_plans as (

    select * from {{ ref("stg_billing__user_plans") }}

),

known_users as (

    -- Rejected and void sessions name their user as well. Quotas do not count: they are requested for landed users only, and
    -- a limit that was published for a misspelt id would hide the mistake.
    select external_user_id from {{ ref("stg_miosa__usage_sessions") }}
    union
    select external_user_id from {{ ref("int_sandbox_owners") }}

),

plan_segments as (

    select * from {{ ref("int_plan_segments") }}
    where is_default

),

unknown as (

    select
        user_plans.external_user_id,
        any_value(user_plans.plan_id) as plan_id,
        any_value(first_open.billing_period) as billing_period,
        any_value({{ id_resemblance("user_plans.external_user_id") }}) as resemblance
    from user_plans
    inner join first_open
        on
            user_plans.valid_from < first_open.period_end
            and coalesce(user_plans.valid_to, first_open.period_end) > first_open.period_start
    left join known_users on user_plans.external_user_id = known_users.external_user_id
    where
        known_users.external_user_id is null
        and user_plans.external_user_id is not null
        and (user_plans.valid_to is null or user_plans.valid_from < user_plans.valid_to)
    group by user_plans.external_user_id

),

on_default as (

    select distinct
        plan_segments.external_user_id,
        {{ id_resemblance("plan_segments.external_user_id") }} as resemblance
    from plan_segments
    inner join first_open on plan_segments.billing_period = first_open.billing_period

)

select
    unknown.billing_period,
    unknown.external_user_id as assigned_user_id,
    unknown.plan_id,
    on_default.external_user_id as resembling_user_id
from unknown
left join on_default on unknown.resemblance = on_default.resemblance
