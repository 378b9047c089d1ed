-- Purpose: what is wrong with vendor_prices.csv, in words: two prices on a day, a day with usage and no price, a currency that changes
--          within a month. A file without rows is right: then the variables hold.
-- Grain: one row per error (error_number).

with

vendor_prices as (

    select * from {{ ref("stg_billing__vendor_prices") }}

),

user_days as (

    select distinct usage_date from {{ ref("int_user_days") }}
    where
        nano_credits > 0
        and exists (select vendor_prices.valid_from from vendor_prices)

),

overlapping as (

    {{ overlapping_ranges("vendor_prices", "'all'") }}

),

unpriced_days as (

    select min(user_days.usage_date) as day
    from user_days
    left join vendor_prices
        on
            user_days.usage_date >= vendor_prices.valid_from
            and (vendor_prices.valid_to is null or user_days.usage_date < vendor_prices.valid_to)
    where vendor_prices.valid_from is null
    having count(*) > 0

),

errors as (

    select
        'unusable' as error,
        vendor_prices.valid_from as day,
        'the currency of ' || coalesce(vendor_prices.valid_from::string, 'a row') || ' is '
        || coalesce({{ quoted_for_message("vendor_prices.currency") }}, 'empty') || ', it must be a code like USD' as message
    from vendor_prices
    where not coalesce({{ full_match("vendor_prices.currency", "[A-Z]{3}") }}, false)
    union all
    select
        'backwards' as error,
        vendor_prices.valid_to as day,
        'valid_to ' || vendor_prices.valid_to::string || ' lies before valid_from ' || vendor_prices.valid_from::string as message
    from vendor_prices
    where vendor_prices.valid_to < vendor_prices.valid_from
    union all
    select
        'overlap' as error,
        overlapping.valid_from as day,
        'there are two prices on ' || overlapping.valid_from::string as message
    from overlapping
    union all
    select
        'gap' as error,
        unpriced_days.day,
        'there is no price on ' || unpriced_days.day::string || ', a day with usage' as message
    from unpriced_days
    union all
    select
        'unusable' as error,
        later_prices.valid_from as day,
        'the currency changes from ' || {{ quoted_for_message("vendor_prices.currency") }} || ' to '
        || {{ quoted_for_message("later_prices.currency") }} || ' on ' || later_prices.valid_from::string
        || ', let it change with a month' as message
    from vendor_prices
    inner join vendor_prices as later_prices
        on
            vendor_prices.currency <> later_prices.currency
            and vendor_prices.valid_from < later_prices.valid_from
            and vendor_prices.valid_to > date_trunc('month', later_prices.valid_from)

)

select
    row_number() over (order by errors.message) as error_number,
    errors.error,
    null::string as external_user_id,
    null::string as plan_id,
    errors.day,
    'vendor_prices.csv: ' || errors.message as message
from errors
