-- Rule 40: the days of a line sum to it, in credits and in money; and a day lies in the service period. Compared by user, line type,
-- plan, service period and invoice period. A partial build cannot change closed lines, so it compares open ones.
with

lines as (

    select
        external_user_id,
        currency,
        line_type,
        plan_id,
        service_period,
        invoice_period as recognized_in,
        sum(quantity_credits)::decimal(38, 9) as credits,
        sum(amount)::decimal(38, 9) as amount
    from {{ ref("fct_invoice_lines") }}
    {{ "where status = 'open'" if tests_changed_only() }}
    group by external_user_id, currency, line_type, plan_id, service_period, invoice_period

),

days as (

    select
        external_user_id,
        currency,
        line_type,
        plan_id,
        service_period,
        recognized_in,
        sum(credits)::decimal(38, 9) as credits,
        sum(amount)::decimal(38, 9) as amount,
        min(service_date) as first_date,
        max(service_date) as last_date
    from {{ ref("fct_revenue_days") }}
    {{ "where status = 'open'" if tests_changed_only() }}
    group by external_user_id, currency, line_type, plan_id, service_period, recognized_in

)

select
    coalesce(lines.external_user_id, days.external_user_id) as external_user_id,
    coalesce(lines.recognized_in, days.recognized_in) as recognized_in,
    lines.credits,
    days.credits as credits_of_days,
    lines.amount,
    days.amount as amount_of_days
from lines
full outer join days
    on
        lines.external_user_id = days.external_user_id
        and lines.currency = days.currency
        and lines.line_type = days.line_type
        and lines.plan_id is not distinct from days.plan_id
        and lines.service_period = days.service_period
        and lines.recognized_in = days.recognized_in
where
    coalesce(lines.credits, 0) <> coalesce(days.credits, 0)
    or coalesce(lines.amount, 0) <> coalesce(days.amount, 0)
    or {{ billing_period("days.first_date") }} <> days.service_period
    or {{ billing_period("days.last_date") }} <> days.service_period
