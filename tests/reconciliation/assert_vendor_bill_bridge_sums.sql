-- The bridge to the vendor's bill has no gap: its steps sum to the vendor's figure, each to what its own mart says.
with

steps as (

    select
        billing_period,
        sum(case when is_total then -credits else credits end) as rest,
        sum(case when step in ('invoiced_users', 'unattributed', 'before_first_period') then credits end) as our_credits,
        count(*) as step_count
    from {{ ref("rpt_vendor_bill_bridge") }}
    group by billing_period

),

usage as (

    select
        billing_period,
        sum(credits) as credits
    from {{ ref("fct_user_period_credits") }}
    group by billing_period

)

select
    steps.billing_period,
    steps.rest,
    steps.our_credits,
    usage.credits
from steps
left join usage on steps.billing_period = usage.billing_period
where
    steps.rest <> 0
    or steps.step_count <> 8
    or steps.our_credits is distinct from coalesce(usage.credits, 0)
