-- Whose invoices changed most against the month before. In each currency one row per user among the first $2, then one row
-- (without a user) that sums all others.
-- $1: the billing period. $2: how many users to name.
with

ranked as (

    select
        *,
        row_number() over (partition by currency order by abs(amount_difference) desc, external_user_id asc) as place
    from marts.rpt_month_over_month
    where invoice_period = $1 and amount_difference <> 0

)

select
    ranked.currency,
    case when ranked.place <= $2 then ranked.place end as place,
    case when ranked.place <= $2 then ranked.external_user_id end as external_user_id,
    any_value(users.display_name) filter (where ranked.place <= $2) as display_name,
    count(*) as user_count,
    sum(ranked.amount)::decimal(38, 3) as amount,
    sum(ranked.previous_amount)::decimal(38, 3) as previous_amount,
    sum(ranked.amount_difference)::decimal(38, 3) as amount_difference,
    case
        when bool_or(ranked.place > $2) then ''
        when bool_or(ranked.is_new_user) then 'new'
        when bool_or(ranked.is_lost_user) then 'lost'
        else ''
    end as remark
from ranked
left join marts.dim_users as users on ranked.external_user_id = users.external_user_id
group by
    ranked.currency,
    case when ranked.place <= $2 then ranked.place end,
    case when ranked.place <= $2 then ranked.external_user_id end
order by ranked.currency, place nulls last
