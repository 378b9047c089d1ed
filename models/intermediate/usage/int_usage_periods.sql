-- Purpose: the billing periods that the warehouse covers, and whether each is complete (rule 34) and closed.
-- Grain: one row per billing period (billing_period), without gaps from the first to the last that has usage or was extracted.
-- A month appears only after a load began in it (rule 37), although a session may reach a day into it.
--
-- Complete means that the vendor's figures can be compared with ours. A past period is complete if each of its days lies in
-- the window of a session load that began at or after the period's end. The current period is complete if each day up to
-- the newest load lies in a window of the newest run.

with

loads as (

    select * from {{ ref("stg_miosa__loads") }}

),

session_loads as (

    select * from loads
    where resource = 'usage_sessions'

),

vendor_totals as (

    -- The extractor reads the summary of each requested month, even if nobody used anything in it.
    select billing_period from {{ ref("stg_miosa__usage_summaries") }}

),

session_periods as (

    select distinct billing_period from {{ ref("int_user_periods") }}

),

closed_periods as (

    select * from {{ ref("stg_ledger__closed_periods") }}

),

newest_load as (

    select
        max(session_loads.started_at_utc) as started_at_utc,
        {{ value_at_highest("session_loads.run_id", "session_loads.load_id") }} as run_id
    from session_loads

),

known_periods as (

    select {{ period_start("session_periods.billing_period") }}::timestamp as period_start_at_utc from session_periods
    union
    select {{ period_start("vendor_totals.billing_period") }}::timestamp as period_start_at_utc from vendor_totals
    union
    select {{ period_start("closed_periods.billing_period") }}::timestamp as period_start_at_utc from closed_periods

),

bounds as (

    select
        min(known_periods.period_start_at_utc) as first_start_at_utc,
        max(known_periods.period_start_at_utc) as last_start_at_utc
    from known_periods
    where known_periods.period_start_at_utc <= (select max(loads.started_at_utc) from loads)

),

periods as (

    select
        {{ each_step("bounds.first_start_at_utc", "bounds.last_start_at_utc", "1 month") }} as period_start_at_utc
    from bounds

),

days as (

    -- The days that have to be covered, up to the newest load in the current period.
    select
        periods.period_start_at_utc,
        {{ each_step(
            "periods.period_start_at_utc",
            "least(periods.period_start_at_utc + interval 1 month, newest_load.started_at_utc) - interval 1 microsecond",
            "1 day",
        ) }} as day_start_at_utc,
        periods.period_start_at_utc + interval 1 month as period_end_at_utc,
        periods.period_start_at_utc + interval 1 month <= newest_load.started_at_utc as has_ended,
        newest_load.run_id
    from periods
    cross join newest_load
    where periods.period_start_at_utc < newest_load.started_at_utc

),

covered_days as (

    select
        days.period_start_at_utc,
        days.day_start_at_utc,
        count(session_loads.load_id) > 0 as is_covered
    from days
    left join session_loads
        on
            days.day_start_at_utc >= session_loads.window_start_at_utc
            and days.day_start_at_utc + interval 1 day <= session_loads.window_end_at_utc
            and (
                (days.has_ended and days.period_end_at_utc <= session_loads.started_at_utc)
                or (not days.has_ended and days.run_id = session_loads.run_id)
            )
    group by days.period_start_at_utc, days.day_start_at_utc

),

completeness as (

    select
        covered_days.period_start_at_utc,
        bool_and(covered_days.is_covered) as is_complete
    from covered_days
    group by covered_days.period_start_at_utc

)

select
    {{ billing_period("periods.period_start_at_utc") }} as billing_period,
    periods.period_start_at_utc,
    (periods.period_start_at_utc + interval 1 month)::timestamp as period_end_at_utc,
    coalesce(periods.period_start_at_utc + interval 1 month <= newest_load.started_at_utc, false) as has_ended,
    coalesce(completeness.is_complete, false) as is_complete,
    closed_periods.billing_period is not null as is_closed,
    closed_periods.closed_at_utc
from periods
cross join newest_load
left join completeness on periods.period_start_at_utc = completeness.period_start_at_utc
left join closed_periods on {{ billing_period("periods.period_start_at_utc") }} = closed_periods.billing_period
