-- Purpose: the calendar, for time axes and for days and months without any usage.
-- Grain: one row per UTC day (calendar_date), without gaps.
-- Whole calendar years, because BI tools compare a day with the same day of the year before. The last year is that of the last
-- usage: a session may reach a day into a month that is not listed yet (rule 37).

with

listed_periods as (

    select * from {{ ref("int_usage_periods") }}

),

used_periods as (

    select distinct billing_period from {{ ref("int_user_periods") }}

),

periods as (

    select {{ period_start_date("listed_periods.billing_period") }} as start_date from listed_periods
    union all
    select {{ period_start_date("used_periods.billing_period") }} as start_date from used_periods

),

bounds as (

    select
        date_trunc('year', min(periods.start_date))::date as first_date,
        (date_trunc('year', max(periods.start_date)) + interval 1 year - interval 1 day)::date as last_date
    from periods

),

days as (

    select {{ each_day("bounds.first_date", "bounds.last_date") }} as calendar_date
    from bounds

),

weekdays as (

    -- 0001-01-01 is a Monday. The engines number weekdays differently.
    select
        days.calendar_date,
        ({{ days_between("date '0001-01-01'", "days.calendar_date") }} % 7 + 1)::integer as iso_day_of_week
    from days

)

select
    weekdays.calendar_date,
    {{ billing_period("weekdays.calendar_date") }} as billing_period,
    date_trunc('month', weekdays.calendar_date)::date as period_start_date,
    year(weekdays.calendar_date)::integer as calendar_year,
    quarter(weekdays.calendar_date)::integer as quarter_of_year,
    month(weekdays.calendar_date)::integer as month_of_year,
    day(weekdays.calendar_date)::integer as day_of_month,
    -- A week belongs to the year of its Thursday.
    year(weekdays.calendar_date + (4 - weekdays.iso_day_of_week))::integer as iso_year,
    weekofyear(weekdays.calendar_date)::integer as iso_week,
    weekdays.iso_day_of_week,
    weekdays.iso_day_of_week >= 6 as is_weekend
from weekdays
