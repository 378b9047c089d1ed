-- Purpose: the effective limits of each user, current and past (rule 17), and the desired limit beside each current one.
-- Grain: one row per user, quota and change of the limit (external_user_id, quota, version_number). A user with a desired limit
--        whose quota was never requested has one row, with version_number 0.

with

limits as (

    select * from {{ ref("int_quota_limits") }}

),

desired as (

    -- The day is the variable quotas_as_of; by default, the UTC day of the build.
    select * from {{ ref("int_desired_quota_limits") }}
    where
        valid_from <= {{ quotas_as_of() }}
        and {{ quotas_as_of() }} < coalesce(valid_to, date '9999-12-31')

),

versions as (

    select
        limits.external_user_id,
        limits.quota,
        limits.version_number,
        limits.has_quota,
        limits.limit_value,
        limits.seen_from_utc as seen_from_at_utc,
        limits.last_read_utc as last_read_at_utc,
        -- The first known limit also counts for all time before.
        case when limits.version_number > 1 then limits.seen_from_utc end as in_force_from_at_utc,
        -- Versions are in the order of loads. If a clock went back, a version ends when any later version was first seen.
        min(limits.seen_from_utc) over (
            partition by limits.external_user_id, limits.quota
            order by limits.version_number
            rows between 1 following and unbounded following
        ) as in_force_to_at_utc,
        limits.version_number = max(limits.version_number) over (
            partition by limits.external_user_id, limits.quota
        ) as is_current
    from limits

),

known as (

    select
        versions.external_user_id,
        versions.quota,
        versions.version_number,
        versions.has_quota,
        versions.limit_value,
        versions.seen_from_at_utc,
        versions.last_read_at_utc,
        versions.in_force_from_at_utc,
        versions.in_force_to_at_utc,
        versions.is_current
    from versions
    union all
    select
        desired.external_user_id,
        desired.quota,
        0 as version_number,
        null::boolean as has_quota,
        null::decimal(38, 9) as limit_value,
        null::timestamp as seen_from_at_utc,
        null::timestamp as last_read_at_utc,
        null::timestamp as in_force_from_at_utc,
        null::timestamp as in_force_to_at_utc,
        true as is_current
    from desired
    where not exists (
        select 1
        from limits
        where
            limits.external_user_id = desired.external_user_id
            and limits.quota = desired.quota
    )

)

select
    known.external_user_id,
    known.quota,
    known.version_number::bigint as version_number,
    known.has_quota,
    known.limit_value::decimal(38, 9) as limit_value,
    known.seen_from_at_utc,
    known.last_read_at_utc,
    known.in_force_from_at_utc,
    known.in_force_to_at_utc,
    known.is_current,
    desired.limit_value as wanted_limit_value,
    desired.wanted_by,
    desired.plan_id as wanted_plan_id,
    case when known.is_current then desired.quota is not null end as is_managed,
    -- A user without a quota, or whose quota was never requested, counts as uncapped here.
    case
        when known.is_current
            then (known.limit_value is distinct from desired.limit_value) and desired.quota is not null
    end as is_drifted
from known
left join desired
    on
        known.is_current
        and known.external_user_id = desired.external_user_id
        and known.quota = desired.quota
