-- Purpose: what was used of each quota, and the limit that it is measured against (rules 15 to 17).
-- Grain: one row a user, billing period and quota (external_user_id, billing_period, quota), for every user with usage
--        in the period or with a quota at any time.

with

periods as (

    select * from {{ ref("int_usage_periods") }}

),

user_periods as (

    select * from {{ ref("int_user_periods") }}

),

sandboxes as (

    select * from {{ ref("int_user_sandboxes") }}

),

rollups as (

    select * from {{ ref("stg_miosa__usage_rollups") }}
    where rejection_reason is null

),

limits as (

    select * from {{ ref("int_quota_limits") }}

),

newest_load as (

    select max(started_at_utc) as started_at_utc from {{ ref("stg_miosa__loads") }}

),

measured_periods as (

    -- Against the limit in force at the period's end; while the period runs, at the newest load.
    select
        periods.billing_period,
        periods.period_start_at_utc,
        periods.period_end_at_utc,
        least(periods.period_end_at_utc, newest_load.started_at_utc) as measured_at_utc,
        {{ hours_between("periods.period_start_at_utc", "periods.period_end_at_utc") }} as period_hours
    from periods
    cross join newest_load

),

measured_users as (

    -- Not in a month that has not begun, into which a session may reach (rule 37).
    select
        user_periods.external_user_id,
        user_periods.billing_period
    from user_periods
    inner join measured_periods on user_periods.billing_period = measured_periods.billing_period
    union
    select
        limits.external_user_id,
        measured_periods.billing_period
    from limits
    cross join measured_periods
    where limits.has_quota

),

versions as (

    select
        *,
        count(*) over (partition by external_user_id, quota) as version_count
    from limits

),

-- Should a clock have gone back, a version may have been replaced before it was seen: it was never in force, and changed nothing. The
-- first one was, for all time before.

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

effective_limits as (

    -- Most limits have never changed: they hold at all times, and nothing has to be put in order.
    select
        versions.external_user_id,
        versions.quota,
        versions.has_quota,
        versions.limit_value,
        measured_periods.billing_period,
        false as has_limit_changed
    from versions
    cross join measured_periods
    where versions.version_count = 1
    union all
    select
        changes.external_user_id,
        changes.quota,
        changes.has_quota,
        changes.limit_value,
        measured_periods.billing_period,
        bool_or(
            changes.version_number > 1
            and changes.limit_value is distinct from changes.previous_limit_value
            and changes.seen_from_utc > measured_periods.period_start_at_utc
            and changes.seen_from_utc < measured_periods.period_end_at_utc
            and changes.seen_from_utc <= measured_periods.measured_at_utc
        ) over (
            partition by changes.external_user_id, changes.quota, measured_periods.billing_period
        ) as has_limit_changed
    from changes
    cross join measured_periods
    qualify
        -- The newest version seen by then; where none was, the first one known holds for all time before.
        row_number() over (
            partition by changes.external_user_id, changes.quota, measured_periods.billing_period
            order by
                (changes.seen_from_utc <= measured_periods.measured_at_utc) desc,
                case
                    when changes.seen_from_utc <= measured_periods.measured_at_utc then -changes.version_number
                    else changes.version_number
                end
        ) = 1

),

storage as (

    -- The vendor reports gigabyte-hours; the figure is their mean over the period. A month's hours are even, so halves lie at whole
    -- billionths of a gigabyte-hour, and what the sum of a user's lines has beyond 9 decimals decides nothing. The sum's, not the lines'.
    select
        rollups.external_user_id,
        rollups.billing_period,
        {{ rounded_ratio(
            credits_to_nano("sum(rollups.storage_gb_hours)") ~ " + "
            ~ wide_quotient("sum(rollups.storage_gb_hours_beyond)", power_of_ten(28)),
            "any_value(measured_periods.period_hours) * 1000000000::" ~ wide_integer(), 9, "decimal(38, 9)"
        ) }} as used_value
    from rollups
    inner join measured_periods on rollups.billing_period = measured_periods.billing_period
    group by rollups.external_user_id, rollups.billing_period

),

-- Sandboxes are numbered in the order in which a user first ran them, so the last number is how many there are by then.
newest_sandboxes as (

    select
        sandboxes.external_user_id,
        {{ billing_period("sandboxes.first_started_at_utc") }} as billing_period,
        max(sandboxes.sandbox_number) as sandbox_number
    from sandboxes
    group by all

),

sandbox_counts as (

    select
        measured_users.external_user_id,
        measured_users.billing_period,
        max(newest_sandboxes.sandbox_number) over (
            partition by measured_users.external_user_id
            order by measured_users.billing_period
            rows between unbounded preceding and current row
        ) as used_value
    from measured_users
    left join newest_sandboxes
        on
            measured_users.external_user_id = newest_sandboxes.external_user_id
            and measured_users.billing_period = newest_sandboxes.billing_period

),

credits_used as (

    select
        user_periods.external_user_id,
        user_periods.billing_period,
        {{ nano_to_credits("user_periods.nano_credits") }} as used_value
    from user_periods

),

used as (

    {%- for quota, source, used_value in [
        ("credits", "credits_used", "used_value"),
        ("concurrent", "user_periods", "peak_concurrent"),
        ("sandboxes", "sandbox_counts", "used_value"),
        ("storage_gb", "storage", "used_value"),
    ] %}
    select
        measured_users.external_user_id,
        measured_users.billing_period,
        '{{ quota }}' as quota,
        {{ source }}.{{ used_value }}::decimal(38, 9) as used_value
    from measured_users
    left join {{ source }} using (external_user_id, billing_period)
    {{ "union all" if not loop.last }}
    {%- endfor %}

)

select
    used.external_user_id,
    used.billing_period,
    used.quota,
    effective_limits.limit_value,
    coalesce(used.used_value, 0)::decimal(38, 9) as used_value,
    coalesce(effective_limits.has_quota, false) as has_quota,
    coalesce(effective_limits.has_limit_changed, false) as has_limit_changed,
    measured_periods.period_start_at_utc,
    measured_periods.period_end_at_utc
from used
inner join measured_periods on used.billing_period = measured_periods.billing_period
left join effective_limits
    on
        used.external_user_id = effective_limits.external_user_id
        and used.billing_period = effective_limits.billing_period
        and used.quota = effective_limits.quota
