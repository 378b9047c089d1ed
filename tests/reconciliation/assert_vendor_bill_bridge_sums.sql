-- The bridge to the vendor's bill has no gap: its steps sum to the vendor's figure, and those of ours are what their own marts say.
with

steps as (

    select
        billing_period,
        sum(case when is_total then -credits else credits end) as rest,
        sum(case when step = 'invoiced_users' then credits end) as invoiced_credits,
        sum(case when step in ('unattributed', 'before_first_period') then credits end) as unbilled_credits,
        count(*) as step_count
    from {{ ref("rpt_vendor_bill_bridge") }}
    group by billing_period

),

invoiced as (

    select
        service_period as billing_period,
        sum(quantity_credits) as credits
    from {{ ref("fct_invoice_lines") }}
    group by service_period

),

unbilled as (

    select
        billing_period,
        sum(credits) as credits
    from {{ ref("rpt_unbilled_usage") }}
    where reason in ('unattributed', 'before_first_period')
    group by billing_period

)

select
    steps.billing_period,
    steps.rest,
    steps.invoiced_credits,
    steps.unbilled_credits
from steps
left join invoiced on steps.billing_period = invoiced.billing_period
left join unbilled on steps.billing_period = unbilled.billing_period
where
    steps.rest <> 0
    or steps.step_count <> 8
    or steps.invoiced_credits is distinct from coalesce(invoiced.credits, 0)
    or steps.unbilled_credits is distinct from coalesce(unbilled.credits, 0)
