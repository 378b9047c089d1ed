-- Purpose: closed periods whose amount would differ today although no usage changed, because prices or plans were edited (rule 30).
-- Grain: one row per user, service period and currency (external_user_id, service_period, currency).
-- A row disappears once its adjustment is closed, because the invoiced amount then equals today's.

with

adjustments as (

    select * from {{ ref("int_adjustments") }}
    where amount_minor <> 0

),

adjustment_usage as (

    select * from {{ ref("int_adjustment_usage") }}

),

closed_lines as (

    select * from {{ ref("stg_ledger__closed_invoice_lines") }}

),

changed_days as (

    -- Across all currencies: credits that only move to another currency have not changed.
    select
        adjustment_usage.external_user_id,
        adjustment_usage.service_period,
        adjustment_usage.usage_date
    from adjustment_usage
    group by adjustment_usage.external_user_id, adjustment_usage.service_period, adjustment_usage.usage_date
    having sum(adjustment_usage.nano_credits) <> 0

),

invoiced as (

    select
        closed_lines.external_user_id,
        closed_lines.service_period,
        closed_lines.currency,
        {{ within_money_range(
            "sum(closed_lines.amount_minor)", "any_value(closed_lines.currency_exponent)",
            "'what was invoiced to user ' || " ~ quoted_for_message("closed_lines.external_user_id") ~ " || ' for ' || closed_lines.service_period",
        ) }} as amount_minor
    from closed_lines
    group by closed_lines.external_user_id, closed_lines.service_period, closed_lines.currency

)

select
    adjustments.external_user_id,
    adjustments.service_period,
    {{ period_start_date("adjustments.service_period") }} as service_period_start_date,
    adjustments.currency,
    coalesce(invoiced.amount_minor, 0)::bigint as invoiced_amount_minor,
    (coalesce(invoiced.amount_minor, 0) + adjustments.amount_minor)::bigint as recomputed_amount_minor,
    adjustments.amount_minor as difference_amount_minor,
    {{ minor_to_amount("adjustments.amount_minor", "adjustments.currency_exponent") }} as difference_amount
from adjustments
left join invoiced
    on
        adjustments.external_user_id = invoiced.external_user_id
        and adjustments.service_period = invoiced.service_period
        and adjustments.currency = invoiced.currency
where not exists (
    select changed_days.usage_date
    from changed_days
    where
        changed_days.external_user_id = adjustments.external_user_id
        and changed_days.service_period = adjustments.service_period
)
