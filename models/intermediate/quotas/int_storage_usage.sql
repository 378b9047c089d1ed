-- Purpose: the storage of each user in each period: the mean over the period of the gigabytes that the vendor's rollup lists (rule 16).
-- Grain: one row per user and billing period (external_user_id, billing_period), for periods in which the rollup lists storage.

with

rollups as (

    select * from {{ ref("stg_miosa__usage_rollups") }}
    where line_number > 0

),

user_periods as (

    select
        external_user_id,
        billing_period,
        {{ hours_between("period_start_at_utc", "period_end_at_utc") }} as period_hours
    from {{ ref("int_quota_user_periods") }}

),

-- The other shape of the vendor's report has no storage, so nobody's was measured.
measured_periods as (

    select distinct rollups.billing_period
    from rollups
    where
        rollups.storage_gb_hours is not null
        and rollups.rejection_reason is null

)

-- The sum of a user's lines is rounded once, not each line. Decimals of the sum beyond the ninth cannot decide it: a month has an even
-- number of hours, so halves lie at whole billionths of a gigabyte-hour. Users whom the rollup does not list store nothing. If a line of a
-- user is rejected or has no storage, the sum would be too low, so it is not measured.
select
    user_periods.external_user_id,
    user_periods.billing_period,
    case
        when
            coalesce(bool_and(rollups.storage_gb_hours is not null and rollups.rejection_reason is null) filter (
                where rollups.external_user_id is not null
            ), true)
            then {{ rounded_ratio(
                credits_to_nano("coalesce(sum(rollups.storage_gb_hours), 0)") ~ " + "
                ~ wide_quotient("coalesce(sum(rollups.storage_gb_hours_beyond), 0)", power_of_ten(28)),
                "any_value(user_periods.period_hours) * 1000000000::" ~ wide_integer(), 9, "decimal(38, 9)"
            ) }}
    end as storage_gb
from user_periods
inner join measured_periods on user_periods.billing_period = measured_periods.billing_period
left join rollups
    on
        user_periods.external_user_id = rollups.external_user_id
        and user_periods.billing_period = rollups.billing_period
group by user_periods.external_user_id, user_periods.billing_period
