-- Purpose: the difference between what each user's closed periods come to today and all that was invoiced for them
--          (rules 25 and 26): the recomputation less every ledger line, including earlier adjustments.
-- Grain: one row per user, service period and currency that differs (external_user_id, service_period, currency).

with

periods as (

    select * from {{ ref("int_billing_periods") }}
    where is_closed

),

rated_lines as (

    select * from {{ ref("int_rated_lines") }}

),

closed_lines as (

    select * from {{ ref("stg_ledger__closed_invoice_lines") }}

),

adjustment_usage as (

    select * from {{ ref("int_adjustment_usage") }}

),

sides as (

    select
        rated_lines.external_user_id,
        rated_lines.billing_period as service_period,
        rated_lines.currency,
        rated_lines.currency_exponent,
        rated_lines.quantity_nano,
        rated_lines.amount_minor
    from rated_lines
    inner join periods on rated_lines.billing_period = periods.billing_period
    union all
    select
        closed_lines.external_user_id,
        closed_lines.service_period,
        closed_lines.currency,
        closed_lines.currency_exponent,
        -{{ credits_to_nano("closed_lines.quantity_credits") }} as quantity_nano,
        -closed_lines.amount_minor as amount_minor
    from closed_lines

),

differences as (

    select
        sides.external_user_id,
        sides.service_period,
        sides.currency,
        sides.currency_exponent,
        sum(sides.quantity_nano)::{{ wide_integer() }} as quantity_nano,
        {{ within_money_range(
            "sum(sides.amount_minor)", "sides.currency_exponent",
            "'the adjustment of user ' || " ~ quoted_for_message("sides.external_user_id") ~ " || ' for ' || sides.service_period",
        ) }} as amount_minor
    from sides
    group by sides.external_user_id, sides.service_period, sides.currency, sides.currency_exponent

),

moved as (

    select distinct
        adjustment_usage.external_user_id,
        adjustment_usage.service_period,
        adjustment_usage.currency
    from adjustment_usage

)

select
    differences.external_user_id,
    differences.service_period,
    differences.currency,
    differences.currency_exponent,
    differences.quantity_nano,
    differences.amount_minor
from differences
left join moved
    on
        differences.external_user_id = moved.external_user_id
        and differences.service_period = moved.service_period
        and differences.currency = moved.currency
where
    differences.quantity_nano <> 0
    or differences.amount_minor <> 0
    -- Credits that only moved from one session to another also get a line, with amount 0.
    or moved.external_user_id is not null
