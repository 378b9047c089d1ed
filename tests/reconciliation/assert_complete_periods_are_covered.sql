-- Rule 34: a past period is complete if and only if all of its days were read after it ended. The days are counted from the loads,
-- without the model's joins. A period that is wrongly incomplete would silently drop out of the comparison with the vendor.
with

session_loads as (

    select * from {{ ref("stg_miosa__loads") }}
    where resource = 'usage_sessions'

),

days_read as (

    select
        {{ each_step(
            "session_loads.window_start_at_utc", "session_loads.window_end_at_utc - interval 1 day", "1 day"
        ) }} as day_start_at_utc,
        session_loads.started_at_utc as read_at_utc
    from session_loads

),

days_read_late as (

    select
        {{ billing_period("day_start_at_utc") }} as billing_period,
        count(distinct day_start_at_utc) as day_count
    from days_read
    where read_at_utc >= date_trunc('month', day_start_at_utc) + interval 1 month
    group by 1

),

newest_load as (

    select max(started_at_utc) as started_at_utc from session_loads

)

select
    periods.billing_period,
    periods.is_complete,
    days_read_late.day_count
from {{ ref("dim_billing_periods") }} as periods
cross join newest_load
left join days_read_late on periods.billing_period = days_read_late.billing_period
where
    periods.period_end_at_utc <= newest_load.started_at_utc
    and periods.is_complete <> (
        coalesce(days_read_late.day_count, 0) = {{ days_between("periods.period_start_at_utc", "periods.period_end_at_utc") }}
    )
