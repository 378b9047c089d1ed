-- Purpose: the platform's account at the vendor, day by day: does the balance follow from the bookings, and the spend from our usage?
-- Grain: one row per UTC day from the first booking to the last one or the last balance read (balance_date). No row if the key may not
--        read transactions.
{%- set figures = ["earned", "spent", "expired", "other"] %}

with

transactions as (

    select * from {{ ref("fct_vendor_transactions") }}

),

loads as (

    select * from {{ ref("stg_miosa__loads") }}
    where outcome is distinct from 'not allowed'

),

answers as (

    select * from {{ ref("stg_miosa__credit_balances") }}

),

usage as (

    select * from {{ ref("int_booked_usage") }}

),

periods as (

    select * from {{ ref("int_usage_periods") }}
    where is_complete

),

list_loads as (

    select
        max(case when loads.resource = 'credit_transactions' then loads.started_at_utc end) as transactions_until_utc,
        max(case when loads.resource = 'usage_sessions' then loads.started_at_utc end) as sessions_until_utc
    from loads

),

readings as (

    -- An unchanged answer adds no version, so each reading shows the newest version of its time. The vendor's own clock counts.
    select
        loads.load_id,
        answers.credits,
        coalesce(answers.updated_at_utc, loads.started_at_utc) as read_at_utc,
        coalesce(answers.updated_at_utc, loads.started_at_utc)::date as read_date
    from loads
    inner join answers on loads.load_id >= answers.load_id
    where
        loads.resource = 'credit_balances'
        and answers.rejection_reason is null
    qualify row_number() over (partition by loads.load_id order by answers.load_id desc) = 1

),

balances as (

    select * from readings
    qualify row_number() over (partition by read_date order by load_id desc) = 1

),

bounds as (

    select
        min(coalesce(transactions.booked_date, balances.read_date)) as first_date,
        max(coalesce(transactions.booked_date, balances.read_date)) as last_date
    from transactions
    full outer join balances on transactions.booked_date = balances.read_date
    cross join list_loads
    where list_loads.transactions_until_utc is not null

),

days as (

    select {{ each_day("bounds.first_date", "bounds.last_date") }} as balance_date
    from bounds
    where bounds.first_date is not null

),

bookings as (

    select
        transactions.booked_date,
        {%- for figure in figures %}
        sum(case when transactions.kind = '{{ figure }}' then {{ "-" if figure in ("spent", "expired") }}transactions.credits else 0 end)
        as {{ figure }}_credits,
        {%- endfor %}
        sum(case when transactions.is_usage then -transactions.credits else 0 end) as usage_spent_credits,
        count(case when transactions.is_usage then 1 end) as usage_spend_count,
        sum(case when transactions.booked_at_utc <= balances.read_at_utc then transactions.credits else 0 end) as until_reading_credits,
        sum(transactions.credits) as change_credits
    from transactions
    left join balances on transactions.booked_date = balances.read_date
    group by transactions.booked_date

),

rounding as (

    -- A vendor that books whole credits is off by less than one for each spend.
    select coalesce(bool_and(transactions.credits = floor(transactions.credits)), false) as has_whole_credits
    from transactions
    where transactions.is_usage

),

usage_days as (

    select
        usage.booked_at_utc::date as usage_date,
        {{ nano_to_credits(wide_sum("usage.nano_credits")) }} as credits
    from usage
    group by usage.booked_at_utc::date

),

running as (

    select
        days.balance_date,
        {%- for figure in figures + ["usage_spent", "until_reading"] %}
        coalesce(bookings.{{ figure }}_credits, 0)::decimal(38, 9) as {{ figure }}_credits,
        {%- endfor %}
        coalesce(bookings.change_credits, 0)::decimal(38, 9) as change_credits,
        (
            {{ amount_variable("vendor_opening_balance_credits") }}
            + sum(coalesce(bookings.change_credits, 0)) over (order by days.balance_date rows unbounded preceding)
        )::decimal(38, 9) as closing_credits,
        balances.credits::decimal(38, 9) as vendor_balance_credits,
        balances.read_at_utc as vendor_balance_at_utc,
        case
            when
                periods.billing_period is not null
                and (days.balance_date + 1)::timestamp <= list_loads.sessions_until_utc
                and (days.balance_date + 1)::timestamp <= list_loads.transactions_until_utc
                then coalesce(usage_days.credits, 0)
        end::decimal(38, 9) as usage_credits,
        (
            {{ var("reconciliation_tolerance_credits") }}::decimal(38, 9)
            + case when rounding.has_whole_credits then coalesce(bookings.usage_spend_count, 0) else 0 end
        )::decimal(38, 9) as usage_tolerance_credits
    from days
    cross join list_loads
    cross join rounding
    left join bookings on days.balance_date = bookings.booked_date
    left join balances on days.balance_date = balances.read_date
    left join usage_days on days.balance_date = usage_days.usage_date
    left join periods on {{ billing_period("days.balance_date") }} = periods.billing_period

),

compared as (

    select
        running.*,
        (running.closing_credits - running.change_credits)::decimal(38, 9) as opening_credits,
        (running.closing_credits - running.change_credits + running.until_reading_credits - running.vendor_balance_credits)::decimal(38, 9)
        as balance_difference_credits,
        (running.usage_credits - running.usage_spent_credits)::decimal(38, 9) as usage_difference_credits,
        {{ var("reconciliation_tolerance_credits") }}::decimal(38, 9) as balance_tolerance_credits
    from running

)

select
    compared.balance_date,
    compared.opening_credits,
    {%- for figure in figures %}
    compared.{{ figure }}_credits,
    {%- endfor %}
    compared.closing_credits,
    compared.vendor_balance_credits,
    compared.vendor_balance_at_utc,
    compared.balance_difference_credits,
    compared.balance_tolerance_credits,
    compared.usage_spent_credits,
    compared.usage_credits,
    compared.usage_difference_credits,
    compared.usage_tolerance_credits,
    case
        when abs(compared.balance_difference_credits) > compared.balance_tolerance_credits then 'mismatch'
        when abs(compared.usage_difference_credits) > compared.usage_tolerance_credits then 'mismatch'
        when coalesce(compared.balance_difference_credits, compared.usage_difference_credits) is not null then 'ok'
        else 'not_compared'
    end as status
from compared
