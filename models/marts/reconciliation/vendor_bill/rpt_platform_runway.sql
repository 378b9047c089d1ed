-- Purpose: how long the platform's balance at the vendor lasts at the rate of our last 7 days, and which credits will expire unused.
-- Grain: one row per moment at which credits that are left expire (expires_at_utc); one row with null if none do. No row if the key may
--        not read the balance.
-- The vendor does not say which credits it uses first. Here those that expire first are used first, and promos do not expire.
{%- set longest_days = 36500 %}

with

balance as (

    select * from {{ ref("stg_miosa__credit_balances") }}
    where
        is_current
        and rejection_reason is null

),

overview as (

    select * from {{ ref("stg_miosa__billing_overviews") }}

),

transactions as (

    select * from {{ ref("fct_vendor_transactions") }}
    where
        kind = 'earned'
        and credits > 0

),

newest_loads as (

    select
        max(case when resource = 'credit_balances' and outcome is distinct from 'not allowed' then started_at_utc end) as balance_at_utc,
        max(case when resource = 'usage_sessions' then started_at_utc end) as sessions_at_utc
    from {{ ref("stg_miosa__loads") }}

),

current_period as (

    select * from {{ ref("int_current_period") }}

),

user_days as (

    select * from {{ ref("int_user_days") }}

),

account as (

    -- Usage is known up to the end of the current period, or up to the newest load.
    select
        balance.credits as balance_credits,
        balance.credit_expiry_at_utc,
        greatest({{ credits_to_nano("balance.credits") }}, 0) as balance_nano,
        coalesce(balance.updated_at_utc, newest_loads.balance_at_utc) as as_of_at_utc,
        least(
            coalesce(balance.updated_at_utc, newest_loads.balance_at_utc),
            newest_loads.sessions_at_utc,
            current_period.period_end_at_utc
        )::date as usage_until_date
    from balance
    cross join newest_loads
    left join current_period on true

),

rate as (

    select coalesce(sum(user_days.nano_credits), 0)::{{ wide_integer() }} as recent_nano
    from user_days
    inner join account
        on
            user_days.usage_date < account.usage_until_date
            and user_days.usage_date >= account.usage_until_date - 7

),

lots as (

    select
        case
            when lower(transactions.transaction_type) <> 'promo'
                then transactions.booked_at_utc + interval {{ whole_number_variable("credit_expiry_days") }} day
        end as expires_at_utc,
        sum({{ credits_to_nano("transactions.credits") }})::{{ wide_integer() }} as earned_nano
    from transactions
    group by all
    union all
    -- If there are no bookings, the balance expires as a whole when the vendor says so.
    select
        account.credit_expiry_at_utc as expires_at_utc,
        account.balance_nano as earned_nano
    from account
    where not exists (select 1 from transactions)

),

running as (

    select
        lots.expires_at_utc,
        lots.earned_nano,
        sum(lots.earned_nano) over (order by lots.expires_at_utc nulls last rows unbounded preceding) as running_nano,
        sum(lots.earned_nano) over () - account.balance_nano as used_nano
    from lots
    cross join account

),

left_over as (

    select
        running.expires_at_utc,
        least(running.earned_nano, greatest(running.running_nano - running.used_nano, 0)) as remaining_nano
    from running
    where running.running_nano > running.used_nano

),

shortfalls as (

    -- By the time these credits expire, this much of them and of all earlier ones will be left.
    select
        left_over.expires_at_utc,
        left_over.remaining_nano,
        greatest(
            sum(left_over.remaining_nano) over (order by left_over.expires_at_utc rows unbounded preceding)
            - {{ wide_quotient(
                "(rate.recent_nano * greatest(" ~ days_between("account.as_of_at_utc::date", "left_over.expires_at_utc::date") ~ ", 0))", "7"
            ) }},
            0
        ) as not_used_nano
    from left_over
    cross join account
    cross join rate
    where left_over.expires_at_utc is not null

),

expired as (

    select
        shortfalls.expires_at_utc,
        shortfalls.remaining_nano,
        max(shortfalls.not_used_nano) over (order by shortfalls.expires_at_utc rows unbounded preceding) as unused_so_far_nano
    from shortfalls

),

expiries as (

    select
        expired.*,
        coalesce(lag(expired.unused_so_far_nano) over (order by expired.expires_at_utc), 0) as unused_before_nano
    from expired

),

days_left as (

    select least({{ rounded_ratio("account.balance_nano * 7", "rate.recent_nano", 1, "decimal(38, 1)") }}, {{ longest_days }}) as days_left
    from account
    cross join rate
    where rate.recent_nano > 0

)

select
    account.as_of_at_utc,
    account.balance_credits::decimal(38, 9) as balance_credits,
    overview.available_credits::decimal(38, 9) as available_credits,
    overview.period_usage_credits::decimal(38, 9) as period_usage_credits,
    account.usage_until_date - 7 as rate_from_date,
    account.usage_until_date - 1 as rate_to_date,
    {{ nano_to_credits("rate.recent_nano") }} as last_7_days_credits,
    days_left.days_left::decimal(18, 1) as days_left,
    account.as_of_at_utc::date + floor(days_left.days_left)::integer as ends_on_date,
    account.credit_expiry_at_utc as vendor_expiry_at_utc,
    expiries.expires_at_utc,
    {{ nano_to_credits("expiries.remaining_nano") }} as expiring_credits,
    {{ nano_to_credits("(expiries.unused_so_far_nano - expiries.unused_before_nano)") }} as unused_credits
from account
left join overview on true
cross join rate
left join days_left on true
left join expiries on true
