-- Purpose: every line of every invoice: closed lines as they were frozen, open lines as they are rated today.
-- Grain: one row per invoice line (line_id).
-- Open lines are those of the first open period, including the adjustments of closed periods, and those of later periods.
{%- set columns = [
    "line_id", "invoice_id", "external_user_id", "invoice_period", "service_period", "line_type", "plan_id",
    "price_valid_from", "tier_from_credits", "quantity_credits", "unit_price", "amount_minor", "amount", "currency",
    "status", "closed_at_utc", "description", "currency_exponent", "service_day_mask", "plan_days_key", "adjustment_reasons",
    "price_changes",
] %}

with

periods as (

    select * from {{ ref("int_billing_periods") }}
    where not is_closed

),

rated_lines as (

    select * from {{ ref("int_rated_lines") }}

),

adjustments as (

    select * from {{ ref("int_adjustments") }}

),

adjustment_reasons as (

    select * from {{ ref("int_adjustment_reasons") }}

),

plan_days as (

    select * from {{ ref("int_plan_days") }}

),

closed_lines as (

    select * from {{ ref("stg_ledger__closed_invoice_lines") }}

),

open_lines as (

    select
        rated_lines.line_id,
        rated_lines.external_user_id,
        rated_lines.billing_period as invoice_period,
        rated_lines.billing_period as service_period,
        rated_lines.line_type,
        rated_lines.plan_id,
        rated_lines.price_valid_from,
        rated_lines.tier_from_credits,
        rated_lines.quantity_nano,
        rated_lines.unit_price,
        rated_lines.amount_minor,
        rated_lines.currency,
        rated_lines.currency_exponent,
        rated_lines.description,
        rated_lines.service_day_mask,
        null::string as adjustment_reasons,
        null::string as price_changes,
        plan_days.plan_days_key
    from rated_lines
    inner join periods on rated_lines.billing_period = periods.billing_period
    left join plan_days
        on
            rated_lines.external_user_id = plan_days.external_user_id
            and rated_lines.billing_period = plan_days.billing_period
    union all
    select
        {{ invoice_line_id(
            "adjustments.external_user_id", "periods.billing_period", "adjustments.service_period", "'adjustment'",
            "adjustments.currency", "null::string", "null::date", "null::decimal(18, 9)",
        ) }} as line_id,
        adjustments.external_user_id,
        periods.billing_period as invoice_period,
        adjustments.service_period,
        'adjustment' as line_type,
        null::string as plan_id,
        null::date as price_valid_from,
        null::decimal(18, 9) as tier_from_credits,
        adjustments.quantity_nano,
        null::decimal(18, 9) as unit_price,
        adjustments.amount_minor,
        adjustments.currency,
        adjustments.currency_exponent,
        'Adjustment of ' || adjustments.service_period as description,
        null::bigint as service_day_mask,
        adjustment_reasons.adjustment_reasons,
        adjustment_reasons.price_changes,
        adjustment_reasons.plan_days_key
    from adjustments
    inner join periods on periods.is_first_open
    left join adjustment_reasons
        on
            adjustments.external_user_id = adjustment_reasons.external_user_id
            and adjustments.service_period = adjustment_reasons.service_period
            and adjustments.currency = adjustment_reasons.currency

),

lines as (

    select
        open_lines.line_id,
        {{ invoice_id(
            "open_lines.external_user_id", "open_lines.invoice_period", "open_lines.currency"
        ) }} as invoice_id,
        open_lines.external_user_id,
        open_lines.invoice_period,
        open_lines.service_period,
        open_lines.line_type,
        open_lines.plan_id,
        open_lines.price_valid_from,
        open_lines.tier_from_credits,
        {{ nano_to_credits("open_lines.quantity_nano") }} as quantity_credits,
        open_lines.unit_price,
        open_lines.amount_minor,
        {{ minor_to_amount("open_lines.amount_minor", "open_lines.currency_exponent") }} as amount,
        open_lines.currency,
        'open' as status,
        null::timestamp as closed_at_utc,
        open_lines.description,
        open_lines.currency_exponent,
        open_lines.service_day_mask,
        -- Not null without a plan, too: null is what earlier versions closed.
        coalesce(open_lines.plan_days_key, 'none') as plan_days_key,
        open_lines.adjustment_reasons,
        open_lines.price_changes
    from open_lines
    union all
    select
        {%- for column in columns %}
        {{ "'closed' as status" if column == "status" else "closed_lines." ~ column }}{{ "," if not loop.last }}
        {%- endfor %}
    from closed_lines

)

select
    {%- for column in columns %}
    lines.{{ column }}{{ "," if not loop.last }}
    {%- endfor %}
from lines
