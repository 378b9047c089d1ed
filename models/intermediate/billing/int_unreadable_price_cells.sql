-- Purpose: the cells of plans, prices and assignments that cannot be read, in words (rule 18).
-- Grain: one row per cell (error_number).

with

currency_rows as (

    select * from {{ ref("currencies") }}

),

price_rows as (

    select * from {{ ref("plan_prices") }}

),

tier_rows as (

    select * from {{ ref("plan_price_tiers") }}

),

vendor_price_rows as (

    select * from {{ ref("vendor_prices") }}

),

user_plan_rows as (

    select * from {{ ref("user_plans") }}

),

unreadable as (

    select
        null::string as external_user_id,
        null::string as plan_id,
        'currencies.csv: the exponent of ' || coalesce({{ quoted_for_message("currency_rows.currency") }}, 'a currency without a code')
        || ' is ' || coalesce({{ quoted_for_message("currency_rows.exponent") }}, 'empty') || ', it must be 0, 1, 2 or 3' as message
    from currency_rows
    where
        currency_rows.currency is null
        or not coalesce({{ full_match("currency_rows.exponent", "[0-3]") }}, false)
    union all
    {{ unreadable_cells([
        ("price_rows", "plan_prices.csv", ["plan_id"], [
            ("valid_from", "day", false), ("valid_to", "day", true), ("monthly_fee", "amount", true),
            ("included_credits", "amount", true), ("minimum_charge", "amount", true),
        ]),
        ("tier_rows", "plan_price_tiers.csv", ["plan_id"], [
            ("valid_from", "day", false), ("tier_from_credits", "amount", false), ("unit_price", "amount", false),
        ]),
        ("vendor_price_rows", "vendor_prices.csv", [], [
            ("valid_from", "day", false), ("valid_to", "day", true), ("price_per_credit", "amount", false),
        ]),
        ("user_plan_rows", "user_plans.csv", ["external_user_id", "plan_id"], [
            ("valid_from", "day", false), ("valid_to", "day", true),
        ]),
    ]) }}

)

select
    row_number() over (order by unreadable.message) as error_number,
    'unreadable' as error,
    unreadable.external_user_id,
    unreadable.plan_id,
    null::date as day,
    unreadable.message
from unreadable
