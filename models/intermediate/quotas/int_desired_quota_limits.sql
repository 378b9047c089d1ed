-- Purpose: which limits each user is to have, from which day to which: those of the plan, and over them those of the user.
-- Grain: one row a user, quota and run of days with one limit of one origin (external_user_id, quota, valid_from).
-- What nobody set has no row: neither a row of the plan's limits on that day, nor a cell of the user's own.
-- depends_on: {{ ref("int_pricing_errors") }}  (no user is on two plans on a day)
-- depends_on: {{ ref("int_quota_errors") }}  (no plan and no user has two rows of limits on a day)

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

plan_quotas as (

    select * from {{ ref("stg_billing__plan_quotas") }}

),

user_plans as (

    select * from {{ ref("stg_billing__user_plans") }}

),

overrides as (

    select * from {{ ref("stg_billing__user_quota_overrides") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

default_plan as (

    -- A default plan that does not exist is nobody's.
    select plans.plan_id
    from plans
    where plans.plan_id = {{ text_variable("default_plan_id") }}

),

-- The days on which what is desired of a user may change. In between it is the same, so its first day tells.
own_ranges as (

    select
        user_plans.external_user_id,
        user_plans.valid_from,
        user_plans.valid_to
    from user_plans
    union all
    select
        overrides.external_user_id,
        overrides.valid_from,
        overrides.valid_to
    from overrides
    union all
    select
        user_plans.external_user_id,
        plan_quotas.valid_from,
        plan_quotas.valid_to
    from user_plans
    inner join plan_quotas on user_plans.plan_id = plan_quotas.plan_id
    union all
    select
        users.external_user_id,
        plan_quotas.valid_from,
        plan_quotas.valid_to
    from users
    cross join default_plan
    inner join plan_quotas on default_plan.plan_id = plan_quotas.plan_id

),

cuts as (

    select
        own_ranges.external_user_id,
        own_ranges.valid_from as cut
    from own_ranges
    union
    select
        own_ranges.external_user_id,
        own_ranges.valid_to as cut
    from own_ranges
    where own_ranges.valid_to is not null

),

segments as (

    select
        cuts.external_user_id,
        cuts.cut as valid_from,
        lead(cuts.cut) over (partition by cuts.external_user_id order by cuts.cut) as valid_to
    from cuts

),

on_plans as (

    select
        segments.external_user_id,
        segments.valid_from,
        segments.valid_to,
        coalesce(user_plans.plan_id, default_plan.plan_id) as plan_id
    from segments
    left join user_plans
        on
            segments.external_user_id = user_plans.external_user_id
            and segments.valid_from >= user_plans.valid_from
            and segments.valid_from < coalesce(user_plans.valid_to, date '9999-12-31')
    left join default_plan on user_plans.plan_id is null

),

desired as (

    {% for quota in ["credits", "concurrent", "sandboxes", "storage_gb"] %}
    select
        on_plans.external_user_id,
        '{{ quota }}' as quota,
        on_plans.valid_from,
        on_plans.valid_to,
        case
            when overrides.has_{{ quota }}_override then overrides.{{ quota }}_limit
            else plan_quotas.{{ quota }}_limit
        end::decimal(38, 9) as limit_value,
        case when overrides.has_{{ quota }}_override then 'override' else 'plan' end as wanted_by,
        on_plans.plan_id
    from on_plans
    left join plan_quotas
        on
            on_plans.plan_id = plan_quotas.plan_id
            and on_plans.valid_from >= plan_quotas.valid_from
            and on_plans.valid_from < coalesce(plan_quotas.valid_to, date '9999-12-31')
    left join overrides
        on
            on_plans.external_user_id = overrides.external_user_id
            and on_plans.valid_from >= overrides.valid_from
            and on_plans.valid_from < coalesce(overrides.valid_to, date '9999-12-31')
    where
        plan_quotas.plan_id is not null
        or overrides.has_{{ quota }}_override
    {{ "union all" if not loop.last }}
    {% endfor %}

),

-- Days that follow each other with the same limit of the same origin are one run.
compared as (

    select
        desired.*,
        coalesce(
            lag(desired.valid_to) over runs = desired.valid_from
            and lag(desired.limit_value) over runs is not distinct from desired.limit_value
            and lag(desired.wanted_by) over runs = desired.wanted_by
            and lag(desired.plan_id) over runs is not distinct from desired.plan_id,
            false
        ) as goes_on
    from desired
    window runs as (partition by desired.external_user_id, desired.quota order by desired.valid_from)

),

numbered as (

    select
        compared.*,
        count(case when not compared.goes_on then 1 end) over (
            partition by compared.external_user_id, compared.quota
            order by compared.valid_from
        ) as run_number
    from compared

)

select
    numbered.external_user_id,
    numbered.quota,
    min(numbered.valid_from) as valid_from,
    -- The last day of a run tells where it ends; max() would take an end before none.
    {{ value_at_highest("numbered.valid_to", "numbered.valid_from") }} as valid_to,
    any_value(numbered.limit_value) as limit_value,
    numbered.wanted_by,
    numbered.plan_id
from numbered
group by
    numbered.external_user_id, numbered.quota, numbered.run_number, numbered.wanted_by, numbered.plan_id
