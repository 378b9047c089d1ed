-- For each period, the credits on invoice lines and the credits in the report of unbilled usage sum to all usage. The report
-- counts every rejected session.
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
union all
select
    'rejected' as billing_period,
    staged.row_count as used_credits,
    reported.row_count as accounted_credits
from (
    select count(*) as row_count
    from {{ ref("stg_miosa__usage_sessions") }}
    where rejection_reason is not null
) as staged
cross join (
    select coalesce(sum(session_count), 0) as row_count
    from {{ ref("rpt_unbilled_usage") }}
    where reason = 'rejected'
) as reported
where staged.row_count <> reported.row_count
