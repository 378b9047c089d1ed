-- The projects for which most is billed. In each currency one row per project among the first $2, then one row (without a place) that
-- sums all others. A place without a project is what belongs to none, such as fees.
-- $1: the billing period. $2: how many projects to name.
with

projects as (

    select
        currency,
        external_project_id,
        sum(credits)::decimal(38, 9) as credits,
        sum(amount)::decimal(38, 3) as amount
    from marts.fct_invoice_breakdown
    where invoice_period = $1
    group by currency, external_project_id

),

ranked as (

    select
        *,
        row_number() over (partition by currency order by amount desc, external_project_id asc nulls last) as place
    from projects

)

select
    currency,
    case when place <= $2 then place end as place,
    case when place <= $2 then external_project_id end as external_project_id,
    count(*) as project_count,
    sum(credits)::decimal(38, 9) as credits,
    sum(amount)::decimal(38, 3) as amount
from ranked
group by currency, case when place <= $2 then place end, case when place <= $2 then external_project_id end
order by currency, place nulls last
