-- Purpose: usage that is on no invoice, with the reason and its cost at the vendor's price.
-- Grain: one row per billing period and reason (billing_period, reason). billing_period is null for rejected rows whose start
--        cannot be read.

with

user_periods as (

    select * from {{ ref("int_user_periods") }}

),

periods as (

    select * from {{ ref("int_billing_periods") }}

),

sessions as (

    select * from {{ ref("stg_miosa__usage_sessions") }}

),

newest_load as (

    select max(started_at_utc) as started_at_utc from {{ ref("stg_miosa__loads") }}

),

vendor_prices as (

    select * from {{ ref("int_vendor_prices") }}

),

user_days as (

    select * from {{ ref("int_user_days") }}

),

invoiced as (

    select
        min(periods.billing_period) as first_period,
        {{ billing_period("max(newest_load.started_at_utc)") }} as newest_period
    from newest_load
    left join periods on true

),

unbilled_periods as (

    select
        user_periods.external_user_id,
        user_periods.billing_period,
        case
            when user_periods.external_user_id = '{{ unattributed() }}' then 'unattributed'
            when user_periods.billing_period > invoiced.newest_period then 'period_not_begun'
            else 'before_first_period'
        end as reason,
        user_periods.session_count,
        {{ nano_to_credits("user_periods.nano_credits") }} as credits
    from user_periods
    cross join invoiced
    where
        user_periods.external_user_id = '{{ unattributed() }}'
        or invoiced.first_period is null
        or user_periods.billing_period < invoiced.first_period
        or user_periods.billing_period > invoiced.newest_period

),

rejected as (

    select
        {{ billing_period("sessions.started_at_utc") }} as billing_period,
        sessions.started_at_utc::date as usage_date,
        -- Null if the cost cannot be read or is negative.
        case
            when sessions.cost_nano_credits >= 0 then {{ nano_to_credits("sessions.cost_nano_credits") }}
        end as credits
    from sessions
    where sessions.rejection_reason is not null

),

newest_price as (

    -- For rows whose day is not known.
    select
        vendor_prices.price_per_credit,
        vendor_prices.currency
    from vendor_prices
    qualify row_number() over (order by vendor_prices.from_date desc) = 1

),

unbilled as (

    select
        unbilled_periods.billing_period,
        unbilled_periods.reason,
        unbilled_periods.session_count,
        -- Those of a month in which the price changes come by day.
        case when vendor_prices.billing_period is not null then unbilled_periods.credits else 0 end as credits,
        vendor_prices.price_per_credit
    from unbilled_periods
    left join vendor_prices
        on
            unbilled_periods.billing_period = vendor_prices.billing_period
            and vendor_prices.is_only_price
    union all
    select
        unbilled_periods.billing_period,
        unbilled_periods.reason,
        0 as session_count,
        {{ nano_to_credits("user_days.nano_credits") }} as credits,
        vendor_prices.price_per_credit
    from unbilled_periods
    inner join user_days
        on
            unbilled_periods.external_user_id = user_days.external_user_id
            and unbilled_periods.billing_period = user_days.billing_period
    inner join vendor_prices
        on
            unbilled_periods.billing_period = vendor_prices.billing_period
            and user_days.usage_date >= vendor_prices.from_date
            and user_days.usage_date < vendor_prices.to_date
    where not vendor_prices.is_only_price
    union all
    select
        rejected.billing_period,
        'rejected' as reason,
        1 as session_count,
        rejected.credits,
        coalesce(vendor_prices.price_per_credit, newest_price.price_per_credit) as price_per_credit
    from rejected
    left join vendor_prices
        on
            rejected.billing_period = vendor_prices.billing_period
            and rejected.usage_date >= vendor_prices.from_date
            and rejected.usage_date < vendor_prices.to_date
    left join newest_price on rejected.billing_period is null

),

by_price as (

    select
        unbilled.billing_period,
        unbilled.reason,
        unbilled.price_per_credit,
        sum(unbilled.session_count)::bigint as session_count,
        coalesce(sum(unbilled.credits), 0)::decimal(38, 9) as credits
    from unbilled
    group by unbilled.billing_period, unbilled.reason, unbilled.price_per_credit

),

totals as (

    select
        by_price.billing_period,
        by_price.reason,
        sum(by_price.session_count)::bigint as session_count,
        sum(by_price.credits)::decimal(38, 9) as credits,
        -- A rejected row may lie on a day without a price.
        sum(coalesce({{ vendor_cost("by_price.credits", "by_price.price_per_credit") }}, 0))::decimal(38, 9) as vendor_cost
    from by_price
    group by by_price.billing_period, by_price.reason

),

vendor_currencies as (

    select
        vendor_prices.billing_period,
        any_value(vendor_prices.currency) as currency
    from vendor_prices
    group by vendor_prices.billing_period

)

select
    totals.billing_period,
    {{ period_start_date("totals.billing_period") }} as period_start_date,
    totals.reason,
    totals.session_count,
    totals.credits,
    totals.vendor_cost,
    coalesce(vendor_currencies.currency, newest_price.currency) as vendor_currency
from totals
left join vendor_currencies on totals.billing_period = vendor_currencies.billing_period
left join newest_price on true
