-- Purpose: whether plans or prices, not only usage, are behind an adjustment, and which ones.
-- Grain: one row per user, service period and currency that differs (external_user_id, service_period, currency).

with

adjustments as (

    select * from {{ ref("int_adjustments") }}

),

adjusted_periods as (

    select distinct
        adjustments.external_user_id,
        adjustments.service_period as billing_period
    from adjustments

),

rerated_usage as (

    select * from {{ ref("int_rerated_usage") }}

),

rated_lines as (

    select lines.*
    from {{ ref("int_rated_lines") }} as lines
    {{ semi_join() }} adjusted_periods
        on
            lines.external_user_id = adjusted_periods.external_user_id
            and lines.billing_period = adjusted_periods.billing_period

),

closed_lines as (

    select ledger_lines.*
    from {{ ref("stg_ledger__closed_invoice_lines") }} as ledger_lines
    {{ semi_join() }} adjusted_periods
        on
            ledger_lines.external_user_id = adjusted_periods.external_user_id
            and ledger_lines.service_period = adjusted_periods.billing_period

),

rerated_plans as (

    select distinct
        rerated_usage.external_user_id,
        rerated_usage.service_period,
        rerated_usage.plan_days_key
    from rerated_usage

),

sides as (

    -- The adjustment is today's lines less what was billed. So the billed usage at today's prices, less what was billed for it, is: that
    -- usage at today's prices, less today's lines, plus the adjustment.
    select
        rerated_usage.external_user_id,
        rerated_usage.service_period,
        rerated_usage.currency,
        rerated_usage.quantity_nano,
        rerated_usage.amount_minor
    from rerated_usage
    union all
    select
        rated_lines.external_user_id,
        rated_lines.billing_period as service_period,
        rated_lines.currency,
        -rated_lines.quantity_nano as quantity_nano,
        -rated_lines.amount_minor as amount_minor
    from rated_lines
    union all
    select
        adjustments.external_user_id,
        adjustments.service_period,
        adjustments.currency,
        adjustments.quantity_nano,
        adjustments.amount_minor
    from adjustments

),

effects as (

    select
        sides.external_user_id,
        sides.service_period,
        sides.currency,
        sum(sides.quantity_nano)::{{ wide_integer() }} as quantity_nano,
        sum(sides.amount_minor)::{{ wide_integer() }} as amount_minor
    from sides
    group by sides.external_user_id, sides.service_period, sides.currency

),

-- The plans of the user's period as they were known when it was billed last.
newest_keys as (

    select
        closed_lines.external_user_id,
        closed_lines.service_period,
        {{ value_at_highest("closed_lines.plan_days_key", "closed_lines.invoice_period") }} as plan_days_key
    from closed_lines
    group by closed_lines.external_user_id, closed_lines.service_period

),

-- Earlier versions froze no key. Then plans count as changed if others are on the lines.
plan_sides as (

    select distinct
        closed_lines.external_user_id,
        closed_lines.service_period,
        closed_lines.plan_id,
        'billed' as side
    from closed_lines
    where closed_lines.plan_id is not null
    union all
    select distinct
        rated_lines.external_user_id,
        rated_lines.billing_period as service_period,
        rated_lines.plan_id,
        'today' as side
    from rated_lines

),

other_plans as (

    select
        plan_sides.external_user_id,
        plan_sides.service_period,
        plan_sides.plan_id
    from plan_sides
    group by plan_sides.external_user_id, plan_sides.service_period, plan_sides.plan_id
    having count(*) = 1

)

select
    adjustments.external_user_id,
    adjustments.service_period,
    adjustments.currency,
    effects.quantity_nano <> 0 or effects.amount_minor <> 0 as has_effect,
    case
        when newest_keys.external_user_id is null then 'plan'
        when newest_keys.plan_days_key is not null
            then case when newest_keys.plan_days_key <> coalesce(rerated_plans.plan_days_key, 'none') then 'plan' else 'price' end
        when (adjustments.external_user_id, adjustments.service_period) in (
            select
                other_plans.external_user_id,
                other_plans.service_period
            from other_plans
        ) then 'plan'
        else 'price'
    end as terms_reason
from adjustments
inner join effects
    on
        adjustments.external_user_id = effects.external_user_id
        and adjustments.service_period = effects.service_period
        and adjustments.currency = effects.currency
left join newest_keys
    on
        adjustments.external_user_id = newest_keys.external_user_id
        and adjustments.service_period = newest_keys.service_period
left join rerated_plans
    on
        adjustments.external_user_id = rerated_plans.external_user_id
        and adjustments.service_period = rerated_plans.service_period
