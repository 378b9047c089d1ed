-- Purpose: the cost of each user's usage at the vendor's price, against the amount invoiced for it.
-- Grain: one row per user, service period and invoiced currency (external_user_id, service_period, currency).
-- Adjustments count in the period that they correct, whenever they were invoiced. Days are only looked at in a month in which the vendor's
-- price changes.

with

lines as (

    select * from {{ ref("int_invoice_lines") }}

),

vendor_prices as (

    select * from {{ ref("int_vendor_prices") }}

),

usage_days as (

    select * from {{ ref("int_revenue_usage_days") }}

),

totals as (

    select
        lines.external_user_id,
        lines.service_period,
        lines.currency,
        sum(lines.quantity_credits)::decimal(38, 9) as credits,
        {{ within_money_range(
            "sum(lines.amount_minor)", "any_value(lines.currency_exponent)",
            "'the usage of user ' || " ~ quoted_for_message("lines.external_user_id") ~ " || ' in ' || lines.service_period",
        ) }} as amount_minor,
        sum(lines.amount)::decimal(18, 3) as amount
    from lines
    group by lines.external_user_id, lines.service_period, lines.currency

),

priced_credits as (

    select
        totals.external_user_id,
        totals.service_period,
        totals.currency,
        vendor_prices.price_per_credit,
        totals.credits
    from totals
    inner join vendor_prices on totals.service_period = vendor_prices.billing_period
    where vendor_prices.is_only_price
    union all
    select
        usage_days.external_user_id,
        usage_days.service_period,
        usage_days.currency,
        vendor_prices.price_per_credit,
        {{ nano_to_credits("sum(usage_days.nano_credits)") }} as credits
    from usage_days
    inner join vendor_prices
        on
            usage_days.service_period = vendor_prices.billing_period
            and usage_days.service_date >= vendor_prices.from_date
            and usage_days.service_date < vendor_prices.to_date
    where not vendor_prices.is_only_price
    group by
        usage_days.external_user_id,
        usage_days.service_period,
        usage_days.currency,
        vendor_prices.from_date,
        vendor_prices.price_per_credit

),

costs as (

    select
        priced_credits.external_user_id,
        priced_credits.service_period,
        priced_credits.currency,
        sum({{ vendor_cost("priced_credits.credits", "priced_credits.price_per_credit") }})::decimal(38, 9) as vendor_cost
    from priced_credits
    group by priced_credits.external_user_id, priced_credits.service_period, priced_credits.currency

),

vendor_currencies as (

    select
        vendor_prices.billing_period,
        any_value(vendor_prices.currency) as currency
    from vendor_prices
    group by vendor_prices.billing_period

)

select
    totals.external_user_id,
    totals.service_period,
    {{ period_start_date("totals.service_period") }} as service_period_start_date,
    totals.currency,
    totals.credits,
    -- A month of fees alone may have no price.
    coalesce(costs.vendor_cost, 0)::decimal(38, 9) as vendor_cost,
    vendor_currencies.currency as vendor_currency,
    totals.amount_minor,
    totals.amount,
    -- Only if both are in the same currency, because the project has no exchange rates.
    case
        when totals.currency = vendor_currencies.currency
            then (totals.amount - coalesce(costs.vendor_cost, 0))::decimal(38, 9)
    end as margin
from totals
left join costs
    on
        totals.external_user_id = costs.external_user_id
        and totals.service_period = costs.service_period
        and totals.currency = costs.currency
left join vendor_currencies on totals.service_period = vendor_currencies.billing_period
