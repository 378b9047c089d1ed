-- Purpose: why there is each adjustment: the reasons of its usage, and plans or prices where these have an effect.
-- Grain: one row per user, service period and currency that differs (external_user_id, service_period, currency).

with

usage_changes as (

    select * from {{ ref("int_usage_changes") }}

),

adjustment_terms as (

    select * from {{ ref("int_adjustment_terms") }}

),

changed_price_lists as (

    select * from {{ ref("int_changed_price_lists") }}

),

plan_days as (

    select * from {{ ref("int_plan_days") }}

),

reasons as (

    select
        usage_changes.external_user_id,
        usage_changes.service_period,
        usage_changes.currency,
        usage_changes.change_reason as reason
    from usage_changes
    union distinct
    select
        adjustment_terms.external_user_id,
        adjustment_terms.service_period,
        adjustment_terms.currency,
        adjustment_terms.terms_reason as reason
    from adjustment_terms
    where adjustment_terms.has_effect

),

lists as (

    select
        reasons.external_user_id,
        reasons.service_period,
        reasons.currency,
        {{ joined_texts("reasons.reason", ", ", "reasons.reason") }} as adjustment_reasons,
        bool_or(reasons.reason in ('plan', 'price')) as has_other_terms
    from reasons
    group by reasons.external_user_id, reasons.service_period, reasons.currency

)

select
    adjustment_terms.external_user_id,
    adjustment_terms.service_period,
    adjustment_terms.currency,
    lists.adjustment_reasons,
    case when lists.has_other_terms then changed_price_lists.price_changes end as price_changes,
    plan_days.plan_days_key
from adjustment_terms
left join lists
    on
        adjustment_terms.external_user_id = lists.external_user_id
        and adjustment_terms.service_period = lists.service_period
        and adjustment_terms.currency = lists.currency
left join changed_price_lists
    on
        adjustment_terms.external_user_id = changed_price_lists.external_user_id
        and adjustment_terms.service_period = changed_price_lists.service_period
        and adjustment_terms.currency = changed_price_lists.currency
left join plan_days
    on
        adjustment_terms.external_user_id = plan_days.external_user_id
        and adjustment_terms.service_period = plan_days.billing_period
