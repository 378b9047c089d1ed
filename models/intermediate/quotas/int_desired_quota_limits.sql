-- Purpose: the limits that each user is to have, by day: those of the plan, and over them the user's own.
-- Grain: one row per user, quota and range of days with one limit of one origin (external_user_id, quota, valid_from).
-- A limit that is set on a day neither by the plan nor by the user's own row has no row.
-- depends_on: {{ ref("int_quota_errors") }}  (no plan and no user has two rows of limits on one day)

with

plan_ranges as (

    select * from {{ ref("int_user_plan_ranges") }}

),

plan_quotas as (

    select * from {{ ref("stg_billing__plan_quotas") }}

),

overrides as (

    select * from {{ ref("stg_billing__user_quota_overrides") }}

),

-- The ranges at whose ends the desired limits of a user may change. Between two such days they stay the same.
own_ranges as (

    select
        plan_ranges.external_user_id,
        plan_ranges.valid_from,
        plan_ranges.valid_to
    from plan_ranges
    union all
    select
        overrides.external_user_id,
        overrides.valid_from,
        overrides.valid_to
    from overrides
    union all
    select
        plan_ranges.external_user_id,
        plan_quotas.valid_from,
        plan_quotas.valid_to
    from plan_ranges
    inner join plan_quotas on plan_ranges.plan_id = plan_quotas.plan_id

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
        plan_ranges.plan_id
    from segments
    left join plan_ranges
        on
            segments.external_user_id = plan_ranges.external_user_id
            and segments.valid_from >= plan_ranges.valid_from
            and segments.valid_from < coalesce(plan_ranges.valid_to, date '9999-12-31')

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

-- Consecutive segments with the same limit of the same origin are one run.
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
    -- The end of the run's last segment: max() would prefer an earlier end to none.
    {{ value_at_highest("numbered.valid_to", "numbered.valid_from") }} as valid_to,
    any_value(numbered.limit_value) as limit_value,
    numbered.wanted_by,
    numbered.plan_id
from numbered
group by
    numbered.external_user_id, numbered.quota, numbered.run_number, numbered.wanted_by, numbered.plan_id
