-- Credits of each day beside the same day of the month before, unattributed ones included. One row per day of month, 1 to 31.
-- Credits are null on days that the month does not have, or that are still to come.
-- $1: the billing period.
with

usage as (

    select
        usage_date,
        sum(credits)::decimal(38, 9) as credits
    from marts.fct_user_day_credits
    where billing_period in ($1, strftime(($1 || '-01')::date - interval 1 month, '%Y-%m'))
    group by usage_date

),

-- The months' days; those of the month that runs end with the last one that has usage.
days as (

    select
        months.is_previous,
        (months.month_start + interval (offsets.day_offset) day)::date as usage_date,
        offsets.day_offset + 1 as day_of_month
    from (
        select false as is_previous, ($1 || '-01')::date as month_start
        union all
        select true as is_previous, (($1 || '-01')::date - interval 1 month)::date as month_start
    ) as months
    cross join (select unnest(range(31))::int as day_offset) as offsets
    where
        month(months.month_start + interval (offsets.day_offset) day) = month(months.month_start)
        and (
            months.is_previous
            or (select periods.has_ended from marts.dim_billing_periods as periods where periods.billing_period = $1)
            or (months.month_start + interval (offsets.day_offset) day)::date <= (select max(usage.usage_date) from usage)
        )

)

select
    days.day_of_month,
    max(case when not days.is_previous then coalesce(usage.credits, 0) end)::decimal(38, 9) as credits,
    max(case when days.is_previous then coalesce(usage.credits, 0) end)::decimal(38, 9) as previous_credits
from days
left join usage on days.usage_date = usage.usage_date
group by days.day_of_month
order by days.day_of_month
