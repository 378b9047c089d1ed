-- The largest invoices. In each currency one row per invoice among the first $2, then one row (without a place) that sums all others.
-- $1: the billing period. $2: how many invoices to name.
with

ranked as (

    select
        *,
        row_number() over (partition by currency order by amount desc, external_user_id asc) as place
    from marts.fct_invoices
    where invoice_period = $1

)

select
    ranked.currency,
    case when ranked.place <= $2 then ranked.place end as place,
    case when ranked.place <= $2 then ranked.external_user_id end as external_user_id,
    any_value(users.display_name) filter (where ranked.place <= $2) as display_name,
    count(*) as invoice_count,
    sum(ranked.line_count)::bigint as line_count,
    sum(ranked.credits)::decimal(38, 9) as credits,
    sum(ranked.amount)::decimal(38, 3) as amount
from ranked
left join marts.dim_users as users on ranked.external_user_id = users.external_user_id
group by
    ranked.currency,
    case when ranked.place <= $2 then ranked.place end,
    case when ranked.place <= $2 then ranked.external_user_id end
order by ranked.currency, place nulls last
