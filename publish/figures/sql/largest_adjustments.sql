-- The largest adjustments of earlier months. In each currency one row per adjustment among the first $2, then one row (without a place)
-- that sums all others.
-- $1: the billing period. $2: how many adjustments to name.
with

ranked as (

    select
        *,
        row_number() over (
            partition by currency
            order by abs(amount) desc, abs(quantity_credits) desc, external_user_id asc, service_period asc
        ) as place
    from marts.fct_invoice_lines
    where invoice_period = $1 and line_type = 'adjustment'

)

select
    ranked.currency,
    case when ranked.place <= $2 then ranked.place end as place,
    any_value(ranked.external_user_id) filter (where ranked.place <= $2) as external_user_id,
    any_value(users.display_name) filter (where ranked.place <= $2) as display_name,
    any_value(ranked.service_period_start_date) filter (where ranked.place <= $2) as service_period_start_date,
    any_value(coalesce(ranked.adjustment_reasons, 'not_recorded')) filter (where ranked.place <= $2) as adjustment_reasons,
    any_value(ranked.price_changes) filter (where ranked.place <= $2) as price_changes,
    count(*) as line_count,
    sum(ranked.quantity_credits)::decimal(38, 9) as credits,
    sum(ranked.amount)::decimal(38, 3) as amount
from ranked
left join marts.dim_users as users on ranked.external_user_id = users.external_user_id
group by ranked.currency, case when ranked.place <= $2 then ranked.place end
order by ranked.currency, place nulls last
