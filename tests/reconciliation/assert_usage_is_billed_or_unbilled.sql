-- Nothing falls between: for each period, what invoice lines hold and what the report of unbilled usage lists are together all
-- usage there is.
with

used as (

    select
        billing_period,
        sum(credits) as credits
    from {{ ref("fct_user_period_credits") }}
    group by billing_period

),

accounted as (

    select
        service_period as billing_period,
        sum(quantity_credits) as credits
    from {{ ref("fct_invoice_lines") }}
    group by service_period
    union all
    select
        billing_period,
        sum(credits) as credits
    from {{ ref("rpt_unbilled_usage") }}
    where reason <> 'rejected'
    group by billing_period

),

accounted_periods as (

    select
        billing_period,
        sum(credits) as credits
    from accounted
    group by billing_period

)

select
    billing_period,
    used.credits as used_credits,
    accounted_periods.credits as accounted_credits
from used
full outer join accounted_periods using (billing_period)
where coalesce(used.credits, 0) <> coalesce(accounted_periods.credits, 0)
