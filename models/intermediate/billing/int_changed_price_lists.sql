-- Purpose: the price lists of adjusted months whose lines differ today from those that the month was closed with, in words.
-- Grain: one row per user, service period and currency with such a price list (external_user_id, service_period, currency).

with

adjustments as (

    select * from {{ ref("int_adjustments") }}

),

rated_lines as (

    select * from {{ ref("int_rated_lines") }}

),

closed_lines as (

    select * from {{ ref("stg_ledger__closed_invoice_lines") }}

),

price_sides as (

    select
        closed_lines.external_user_id,
        closed_lines.service_period,
        closed_lines.currency,
        closed_lines.plan_id,
        closed_lines.price_valid_from,
        closed_lines.amount_minor as billed_minor,
        0 as today_minor
    from closed_lines
    {{ semi_join() }} adjustments
        on
            closed_lines.external_user_id = adjustments.external_user_id
            and closed_lines.service_period = adjustments.service_period
            and closed_lines.currency = adjustments.currency
    where closed_lines.plan_id is not null
    union all
    select
        rated_lines.external_user_id,
        rated_lines.billing_period as service_period,
        rated_lines.currency,
        rated_lines.plan_id,
        rated_lines.price_valid_from,
        0 as billed_minor,
        rated_lines.amount_minor as today_minor
    from rated_lines
    {{ semi_join() }} adjustments
        on
            rated_lines.external_user_id = adjustments.external_user_id
            and rated_lines.billing_period = adjustments.service_period
            and rated_lines.currency = adjustments.currency

),

changed_prices as (

    select
        price_sides.external_user_id,
        price_sides.service_period,
        price_sides.currency,
        price_sides.plan_id,
        price_sides.price_valid_from,
        sum(price_sides.billed_minor) as billed_minor,
        sum(price_sides.today_minor) as today_minor
    from price_sides
    group by
        price_sides.external_user_id,
        price_sides.service_period,
        price_sides.currency,
        price_sides.plan_id,
        price_sides.price_valid_from
    having sum(price_sides.billed_minor) <> sum(price_sides.today_minor)

)

select
    adjustments.external_user_id,
    adjustments.service_period,
    adjustments.currency,
    {{ joined_texts(
        "changed_prices.plan_id || ' from ' || changed_prices.price_valid_from::string || ': '"
        ~ " || " ~ plain_number(minor_to_decimal("changed_prices.billed_minor", "adjustments.currency_exponent"))
        ~ " || ', now ' || " ~ plain_number(minor_to_decimal("changed_prices.today_minor", "adjustments.currency_exponent")),
        "; ", "changed_prices.plan_id, changed_prices.price_valid_from",
    ) }} as price_changes
from adjustments
inner join changed_prices
    on
        adjustments.external_user_id = changed_prices.external_user_id
        and adjustments.service_period = changed_prices.service_period
        and adjustments.currency = changed_prices.currency
group by adjustments.external_user_id, adjustments.service_period, adjustments.currency
