-- Purpose: the storage of each user in each period: the mean over the period of the gigabytes that the vendor's rollup lists (rule 16).
-- Grain: one row per user and billing period with a line in a rollup (external_user_id, billing_period).

with

rollups as (

    select * from {{ ref("stg_miosa__usage_rollups") }}
    where rejection_reason is null

),

user_periods as (

    select
        external_user_id,
        billing_period,
        {{ hours_between("period_start_at_utc", "period_end_at_utc") }} as period_hours
    from {{ ref("int_quota_user_periods") }}

)

-- The sum of a user's lines is rounded once, not each line. Decimals of the sum beyond the ninth cannot decide it: a month has an even
-- number of hours, so halves lie at whole billionths of a gigabyte-hour.
select
    rollups.external_user_id,
    rollups.billing_period,
    {{ rounded_ratio(
        credits_to_nano("sum(rollups.storage_gb_hours)") ~ " + "
        ~ wide_quotient("sum(rollups.storage_gb_hours_beyond)", power_of_ten(28)),
        "any_value(user_periods.period_hours) * 1000000000::" ~ wide_integer(), 9, "decimal(38, 9)"
    ) }} as storage_gb
from rollups
inner join user_periods
    on
        rollups.external_user_id = user_periods.external_user_id
        and rollups.billing_period = user_periods.billing_period
group by rollups.external_user_id, rollups.billing_period
