-- Purpose: the plans on which a user who is close to a limit would have reached none. The user's own limits stay in place of the plan's.
-- Grain: one row per user close to a limit and other plan (external_user_id, plan_id), whatever the plan's currency.
-- depends_on: {{ ref("int_quota_errors") }}  (no plan and no user has two rows of limits on one day)

with

users as (

    select * from {{ ref("int_users_near_limits") }}

),

plan_quotas as (

    select * from {{ ref("stg_billing__plan_quotas") }}

),

overrides as (

    select * from {{ ref("stg_billing__user_quota_overrides") }}

)

select
    users.external_user_id,
    users.billing_period,
    users.period_start,
    users.period_end,
    users.currency,
    plan_quotas.plan_id
from users
inner join plan_quotas
    on
        users.plan_id <> plan_quotas.plan_id
        and users.last_day >= plan_quotas.valid_from
        and users.last_day < coalesce(plan_quotas.valid_to, date '9999-12-31')
left join overrides
    on
        users.external_user_id = overrides.external_user_id
        and users.last_day >= overrides.valid_from
        and users.last_day < coalesce(overrides.valid_to, date '9999-12-31')
where
    -- Use that is not measured (null) rules out no plan.
    {%- for quota in ["credits", "concurrent", "sandboxes", "storage_gb"] %}
    {{ "and " if not loop.first }}(
        users.{{ quota }}_used = 0
        or coalesce(
            case
                when overrides.has_{{ quota }}_override then overrides.{{ quota }}_limit
                else plan_quotas.{{ quota }}_limit
            end > users.{{ quota }}_used,
            true
        )
    )
    {%- endfor %}
