-- Purpose: the vendor's price of a credit in each billing period with usage or an invoice: vendor_prices.csv, or if that has no rows, the
--          variables vendor_credit_price and vendor_currency.
-- Grain: one row per billing period and price that is valid on some of its days (billing_period, from_date).

with

vendor_prices as (

    select * from {{ ref("stg_billing__vendor_prices") }}

),

prices as (

    select
        vendor_prices.valid_from,
        vendor_prices.valid_to,
        vendor_prices.price_per_credit,
        vendor_prices.currency
    from vendor_prices
    union all
    select
        date '0001-01-01' as valid_from,
        null::date as valid_to,
        {{ amount_variable("vendor_credit_price") }} as price_per_credit,
        {{ text_variable("vendor_currency") }} as currency
    from (select count(*) as price_count from vendor_prices) as counted
    where counted.price_count = 0

),

named_periods as (

    select billing_period from {{ ref("int_billing_periods") }}
    union distinct
    select distinct billing_period from {{ ref("int_user_periods") }}
    union distinct
    select distinct {{ billing_period("started_at_utc") }} as billing_period
    from {{ ref("stg_miosa__usage_sessions") }}
    where rejection_reason is not null and started_at_utc is not null

),

periods as (

    select
        named_periods.billing_period,
        {{ period_start("named_periods.billing_period") }}::date as period_start,
        ({{ period_start("named_periods.billing_period") }} + interval 1 month)::date as period_end
    from named_periods

)

select
    periods.billing_period,
    greatest(prices.valid_from, periods.period_start) as from_date,
    least(coalesce(prices.valid_to, periods.period_end), periods.period_end) as to_date,
    prices.price_per_credit,
    prices.currency,
    count(*) over (partition by periods.billing_period) = 1 as is_only_price
from periods
inner join prices
    on
        periods.period_end > prices.valid_from
        and periods.period_start < coalesce(prices.valid_to, periods.period_end)
