-- FOCUS shows all of it, once: for each invoice, billed and effective amounts sum to the invoice; for each user and period of usage,
-- the credits of the cost over all billing periods sum to those of the user's days, unattributed usage included (rule 10). A partial
-- build compares open periods, and there, credits without corrections.
-- noqa: disable=CP02
-- depends_on: {{ ref("int_billing_periods") }}
with

invoices as (

    select
        invoice_id,
        amount
    from {{ ref("fct_invoices") }}
    {{ "where status = 'open'" if tests_changed_only() }}

),

charges as (

    select
        InvoiceId as invoice_id,
        sum(BilledCost) as billed_cost,
        sum(EffectiveCost) as effective_cost
    from {{ changed_part(ref("rpt_focus_resale")) }}
    group by InvoiceId

),

user_periods as (

    select
        user_days.external_user_id,
        user_days.billing_period,
        sum(user_days.credits) as credits
    from {{ ref("fct_user_day_credits") }} as user_days
    {%- if tests_changed_only() %}
    inner join {{ ref("int_billing_periods") }} as periods
        on user_days.billing_period = periods.billing_period and not periods.is_closed
    {%- endif %}
    group by user_days.external_user_id, user_days.billing_period

),

costs as (

    select
        x_ExternalUserId as external_user_id,
        {{ billing_period("ChargePeriodStart") }} as billing_period,
        sum(PricingQuantity) as credits
    from {{ changed_part(ref("rpt_focus_cost")) }}
    group by x_ExternalUserId, {{ billing_period("ChargePeriodStart") }}

)

select
    coalesce(invoices.invoice_id, charges.invoice_id) as subject,
    invoices.amount as expected,
    charges.billed_cost as actual
from invoices
full outer join charges on invoices.invoice_id = charges.invoice_id
where
    coalesce(invoices.amount, 0) <> coalesce(charges.billed_cost, 0)
    or coalesce(invoices.amount, 0) <> coalesce(charges.effective_cost, 0)
union all
select
    coalesce(user_periods.external_user_id, costs.external_user_id) as subject,
    user_periods.credits as expected,
    costs.credits as actual
from user_periods
full outer join costs
    on
        user_periods.external_user_id = costs.external_user_id
        and user_periods.billing_period = costs.billing_period
where coalesce(user_periods.credits, 0) <> coalesce(costs.credits, 0)
