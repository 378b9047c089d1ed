-- Purpose: what each user's usage cost the platform at the vendor's price, against what was invoiced for it.
-- Grain: one row per user, service period and currency invoiced in (external_user_id, service_period, currency).
-- Corrections count to the period they are for, whenever they were invoiced.

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
    totals.currency,
    totals.credits,
    {{ vendor_cost("totals.credits") }} as vendor_cost,
    {{ text_variable("vendor_currency") }} as vendor_currency,
    totals.amount_minor,
    totals.amount,
    -- Only where both are in one currency: there is no exchange rate here.
    case
        when totals.currency = {{ text_variable("vendor_currency") }}
            then (totals.amount - {{ vendor_cost("totals.credits") }})::decimal(38, 9)
    end as margin
from totals
