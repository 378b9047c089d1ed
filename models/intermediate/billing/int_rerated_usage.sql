-- Purpose: the usage of adjusted periods that is billed already, rated by today's plans and prices (macros/pricing.sql). Less what was
--          billed for it, that is what changed plans and prices come to, apart from changed usage.
-- Grain: one row per user, service period and currency of a plan (external_user_id, service_period, currency).
-- The usage that is billed already is today's less the changes since, so that the ledger need not be read for it.

with

adjusted_periods as (

    select distinct
        external_user_id,
        service_period as billing_period
    from {{ ref("int_adjustments") }}

),

adjustment_usage as (

    select * from {{ ref("int_adjustment_usage") }}

),

periods as (

    select * from {{ ref("int_billing_periods") }}
    where is_closed

),

user_plans as (

    select * from {{ ref("stg_billing__user_plans") }}

),

plan_prices as (

    select * from {{ ref("stg_billing__plan_prices") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

currencies as (

    select * from {{ ref("stg_billing__currencies") }}

),

tiers as (

    {{ tiers_in_nano() }}

),

usage_days as (

    select
        user_days.external_user_id,
        user_days.billing_period,
        user_days.usage_date,
        user_days.nano_credits::{{ wide_integer() }} as nano_credits
    from {{ ref("int_user_days") }} as user_days
    {{ semi_join() }} adjusted_periods
        on
            user_days.external_user_id = adjusted_periods.external_user_id
            and user_days.billing_period = adjusted_periods.billing_period
    union all
    select
        adjustment_usage.external_user_id,
        adjustment_usage.service_period as billing_period,
        adjustment_usage.usage_date,
        -adjustment_usage.nano_credits as nano_credits
    from adjustment_usage

),

-- The usage that is billed already.
user_days as (

    select
        usage_days.external_user_id,
        usage_days.billing_period,
        usage_days.usage_date,
        sum(usage_days.nano_credits)::{{ wide_integer() }} as nano_credits
    from usage_days
    group by usage_days.external_user_id, usage_days.billing_period, usage_days.usage_date
    having sum(usage_days.nano_credits) > 0

),

user_periods as (

    select
        user_days.external_user_id,
        user_days.billing_period,
        min(user_days.usage_date) as first_credits_date
    from user_days
    group by user_days.external_user_id, user_days.billing_period

),

{{ plan_segment_steps() }},

price_segments as (

    {{ price_segments() }}

),

used as (

    {{ rating_period_credits() }}

),

{{ rating_periods() }},

{{ rated_line_steps() }},

{{ plan_days_keys() }},

currency_lines as (

    select
        rating_periods.external_user_id,
        rating_periods.billing_period,
        rating_periods.currency,
        0::{{ wide_integer() }} as quantity_nano,
        0::bigint as amount_minor
    from rating_periods
    union all
    select
        lines.external_user_id,
        lines.billing_period,
        lines.currency,
        (lines.end_nano - lines.start_nano)::{{ wide_integer() }} as quantity_nano,
        lines.amount_minor
    from lines

)

select
    currency_lines.external_user_id,
    currency_lines.billing_period as service_period,
    currency_lines.currency,
    sum(currency_lines.quantity_nano)::{{ wide_integer() }} as quantity_nano,
    sum(currency_lines.amount_minor)::{{ wide_integer() }} as amount_minor,
    any_value(plan_days_keys.plan_days_key) as plan_days_key
from currency_lines
{{ semi_join() }} adjusted_periods
    on
        currency_lines.external_user_id = adjusted_periods.external_user_id
        and currency_lines.billing_period = adjusted_periods.billing_period
left join plan_days_keys
    on
        currency_lines.external_user_id = plan_days_keys.external_user_id
        and currency_lines.billing_period = plan_days_keys.billing_period
group by currency_lines.external_user_id, currency_lines.billing_period, currency_lines.currency
