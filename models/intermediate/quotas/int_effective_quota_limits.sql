-- Purpose: the limit that counts for each user's use in each period: the newest one seen by its end (rule 17).
-- Grain: one row per user, billing period and quota (external_user_id, billing_period, quota), also where the user has no quota.

with

user_periods as (

    select * from {{ ref("int_quota_user_periods") }}

),

versions as (

    select
        *,
        count(*) over (partition by external_user_id, quota) as version_count
    from {{ ref("int_quota_limits") }}

),

-- If the clock of a load went back, a version may have been replaced before it was seen: it was never effective and changed nothing.
-- The first version always counts: it holds for all time before it was seen.
replaced as (

    select
        *,
        min(seen_from_utc) over (
            partition by external_user_id, quota
            order by version_number
            rows between 1 following and unbounded following
        ) as replaced_from_utc
    from versions
    where version_count > 1

),

changes as (

    select
        *,
        lag(limit_value) over (
            partition by external_user_id, quota order by version_number
        ) as previous_limit_value
    from replaced
    where
        version_number = 1
        or replaced_from_utc is null
        or replaced_from_utc > seen_from_utc

),

effective as (

    -- Most limits have never changed: they hold at all times, and no versions have to be put in order.
    select
        versions.external_user_id,
        user_periods.billing_period,
        versions.quota,
        versions.has_quota,
        versions.limit_value,
        false as has_limit_changed
    from versions
    inner join user_periods on versions.external_user_id = user_periods.external_user_id
    where versions.version_count = 1
    union all
    select
        changes.external_user_id,
        user_periods.billing_period,
        changes.quota,
        changes.has_quota,
        changes.limit_value,
        bool_or(
            changes.version_number > 1
            and changes.limit_value is distinct from changes.previous_limit_value
            and changes.seen_from_utc > user_periods.period_start_at_utc
            and changes.seen_from_utc < user_periods.period_end_at_utc
            and changes.seen_from_utc <= user_periods.measured_at_utc
        ) over (
            partition by changes.external_user_id, changes.quota, user_periods.billing_period
        ) as has_limit_changed
    from changes
    inner join user_periods on changes.external_user_id = user_periods.external_user_id
    qualify
        -- The newest version seen by then; if none was, the first one known.
        row_number() over (
            partition by changes.external_user_id, changes.quota, user_periods.billing_period
            order by
                (changes.seen_from_utc <= user_periods.measured_at_utc) desc,
                case
                    when changes.seen_from_utc <= user_periods.measured_at_utc then -changes.version_number
                    else changes.version_number
                end
        ) = 1

),

quotas as (

    {% for quota in ["credits", "concurrent", "sandboxes", "storage_gb"] %}
    select '{{ quota }}' as quota
    {{ "union all" if not loop.last }}
    {% endfor %}

)

select
    user_periods.external_user_id,
    user_periods.billing_period,
    quotas.quota,
    effective.limit_value,
    coalesce(effective.has_quota, false) as has_quota,
    coalesce(effective.has_limit_changed, false) as has_limit_changed,
    user_periods.period_start_at_utc,
    user_periods.period_end_at_utc
from user_periods
cross join quotas
left join effective
    on
        user_periods.external_user_id = effective.external_user_id
        and user_periods.billing_period = effective.billing_period
        and quotas.quota = effective.quota
