-- Purpose: the cost of each user's usage at the vendor's price, against the amount invoiced for it.
-- Grain: one row per user, service period and invoiced currency (external_user_id, service_period, currency).
-- Adjustments count in the period that they correct, whenever they were invoiced.

with

lines as (

    select * from {{ ref("int_invoice_lines") }}

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

)

select
    totals.external_user_id,
    totals.service_period,
    {{ period_start_date("totals.service_period") }} as service_period_start_date,
    totals.currency,
    totals.credits,
    {{ vendor_cost("totals.credits") }} as vendor_cost,
    {{ text_variable("vendor_currency") }} as vendor_currency,
    totals.amount_minor,
    totals.amount,
    -- Only if both are in the same currency, because the project has no exchange rates.
    case
        when totals.currency = {{ text_variable("vendor_currency") }}
            then (totals.amount - {{ vendor_cost("totals.credits") }})::decimal(38, 9)
    end as margin
from totals
