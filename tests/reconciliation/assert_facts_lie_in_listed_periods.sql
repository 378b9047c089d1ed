-- Rule 37: each period with usage is listed, except a month in which no load has begun yet; a session may reach a day into it.
with

used_periods as (

    select billing_period from {{ changed_part(ref("fct_user_period_credits"), ["external_user_id", "billing_period"], "int_user_periods_changed_by_usage") }}
    union
    select billing_period from {{ changed_part(ref("fct_session_period_credits"), ["external_user_id", "billing_period"], "int_user_periods_changed_by_usage") }}

),

newest_load as (

    select max(started_at_utc) as started_at_utc from {{ ref("stg_miosa__loads") }}

)

select used_periods.billing_period
from used_periods
cross join newest_load
left join {{ ref("dim_billing_periods") }} as periods on used_periods.billing_period = periods.billing_period
where (periods.billing_period is null) <> ({{ period_start("used_periods.billing_period") }} > newest_load.started_at_utc)
union all
select periods.billing_period
from {{ ref("dim_billing_periods") }} as periods
cross join newest_load
where periods.period_start_at_utc > newest_load.started_at_utc
