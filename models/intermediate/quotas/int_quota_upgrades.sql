-- Purpose: for each user close to a limit in the current period: the plan that he is on, what the period comes to, and the
--          cheapest other plan in the same currency whose limits his use would not have reached, at what price.
-- Grain: one row a user with a quota at `warning` or above in the current period (external_user_id).
-- depends_on: {{ ref("int_pricing_errors") }}  (nothing is priced while a day has no price, or two)
-- depends_on: {{ ref("int_quota_errors") }}  (no plan and no user has two rows of limits on a day)

with

period as (

    select * from {{ ref("int_current_period") }}

),

periods as (

    select
        period.billing_period,
        period.period_start_at_utc::date as period_start,
        period.period_end_at_utc::date as period_end,
        period.period_end_at_utc::date - 1 as last_day,
        {{ days_between("period.period_start_at_utc", "period.period_end_at_utc") }}::bigint as day_count
    from period

),

utilization as (

    select * from {{ ref("int_quota_utilization") }}
    where external_user_id <> '{{ unattributed() }}'

),

user_plans as (

    select * from {{ ref("stg_billing__user_plans") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

currencies as (

    select * from {{ ref("stg_billing__currencies") }}

),

plan_quotas as (

    select * from {{ ref("stg_billing__plan_quotas") }}

),

overrides as (

    select * from {{ ref("stg_billing__user_quota_overrides") }}

),

plan_prices as (

    select * from {{ ref("stg_billing__plan_prices") }}

),

tiers as (

    {{ tiers_in_nano() }}

),

user_days as (

    select * from {{ ref("int_user_days") }}

),

rated_lines as (

    select * from {{ ref("int_rated_lines") }}

),

invoiced_periods as (

    select * from {{ ref("int_billing_periods") }}

),

-- What each of these users used of every quota.
needs as (

    select
        utilization.external_user_id,
        periods.billing_period,
        {%- for quota in ["credits", "concurrent", "sandboxes", "storage_gb"] %}
        max(utilization.used_value) filter (where utilization.quota = '{{ quota }}') as {{ quota }}_used,
        {%- endfor %}
        any_value(periods.last_day) as last_day
    from utilization
    inner join periods on utilization.billing_period = periods.billing_period
    group by utilization.external_user_id, periods.billing_period
    having bool_or(utilization.status in ('warning', 'at_limit', 'over_limit'))

),

-- The plan of the period's last day.
on_plans as (

    select
        needs.*,
        plans.plan_id,
        plans.currency,
        currencies.exponent as currency_exponent
    from needs
    left join user_plans
        on
            needs.external_user_id = user_plans.external_user_id
            and needs.last_day >= user_plans.valid_from
            and needs.last_day < coalesce(user_plans.valid_to, date '9999-12-31')
    left join plans on coalesce(user_plans.plan_id, {{ text_variable("default_plan_id") }}) = plans.plan_id
    left join currencies on plans.currency = currencies.currency

),

-- Plans that help: none of the limits that the user would have on it is reached. His own overrides stay over the plan's.
helpful as (

    select
        on_plans.external_user_id,
        on_plans.billing_period,
        other_plans.plan_id
    from on_plans
    inner join plans as other_plans
        on
            on_plans.currency = other_plans.currency
            and on_plans.plan_id <> other_plans.plan_id
    inner join plan_quotas
        on
            other_plans.plan_id = plan_quotas.plan_id
            and on_plans.last_day >= plan_quotas.valid_from
            and on_plans.last_day < coalesce(plan_quotas.valid_to, date '9999-12-31')
    left join overrides
        on
            on_plans.external_user_id = overrides.external_user_id
            and on_plans.last_day >= overrides.valid_from
            and on_plans.last_day < coalesce(overrides.valid_to, date '9999-12-31')
    where
        {%- for quota in ["credits", "concurrent", "sandboxes", "storage_gb"] %}
        {{ "and " if not loop.first }}(
            on_plans.{{ quota }}_used = 0
            or coalesce(
                case
                    when overrides.has_{{ quota }}_override then overrides.{{ quota }}_limit
                    else plan_quotas.{{ quota }}_limit
                end > on_plans.{{ quota }}_used,
                true
            )
        )
        {%- endfor %}

),

-- As if the user had been on it on all days of the period, with the credits that he used: priced as any stretch is.
plan_segments as (

    select
        helpful.external_user_id,
        helpful.billing_period,
        periods.period_start as from_date,
        periods.period_end as to_date,
        helpful.plan_id
    from helpful
    inner join periods on helpful.billing_period = periods.billing_period

),

price_segments as (

    {{ price_segments() }}

),

used as (

    {{ rating_period_credits() }}

),

{{ rating_periods() }},

{{ rated_line_steps() }},

amounts as (

    select
        lines.external_user_id,
        lines.plan_id,
        sum(lines.amount_minor)::bigint as amount_minor
    from lines
    group by lines.external_user_id, lines.plan_id

),

offers as (

    -- A plan without a price on one of the days is no offer.
    select
        rating_periods.external_user_id,
        rating_periods.plan_id,
        coalesce(any_value(amounts.amount_minor), 0) as amount_minor
    from rating_periods
    left join amounts
        on
            rating_periods.external_user_id = amounts.external_user_id
            and rating_periods.plan_id = amounts.plan_id
    group by rating_periods.external_user_id, rating_periods.plan_id
    having sum(rating_periods.day_count) = any_value(rating_periods.period_day_count)

),

cheapest as (

    select * from offers
    qualify row_number() over (
        partition by external_user_id order by amount_minor, plan_id
    ) = 1

),

current_amounts as (

    select
        rated_lines.external_user_id,
        rated_lines.billing_period,
        rated_lines.currency,
        sum(rated_lines.amount_minor)::bigint as amount_minor
    from rated_lines
    inner join periods on rated_lines.billing_period = periods.billing_period
    group by rated_lines.external_user_id, rated_lines.billing_period, rated_lines.currency

)

select
    on_plans.external_user_id,
    on_plans.billing_period,
    on_plans.plan_id as current_plan_id,
    on_plans.currency,
    on_plans.currency_exponent,
    -- A period that is not invoiced yet comes to nothing that could be compared.
    case
        when on_plans.plan_id is not null and invoiced_periods.billing_period is not null
            then coalesce(current_amounts.amount_minor, 0)
    end as current_amount_minor,
    cheapest.plan_id as upgrade_plan_id,
    cheapest.amount_minor as upgrade_amount_minor
from on_plans
left join invoiced_periods on on_plans.billing_period = invoiced_periods.billing_period
left join current_amounts
    on
        on_plans.external_user_id = current_amounts.external_user_id
        and on_plans.billing_period = current_amounts.billing_period
        and on_plans.currency = current_amounts.currency
left join cheapest on on_plans.external_user_id = cheapest.external_user_id
