-- What is invoiced in each currency, beside the month before. One row per currency with an invoice in either month.
-- change_ratio is null where the month before came to nothing or less.
-- $1: the billing period.
with

invoices as (

    select
        currency,
        count(*) filter (where invoice_period = $1) as invoice_count,
        count(*) filter (where invoice_period = $1 and is_credit) as credit_note_count,
        coalesce(sum(amount) filter (where invoice_period = $1), 0)::decimal(38, 3) as amount,
        coalesce(sum(amount) filter (where invoice_period <> $1), 0)::decimal(38, 3) as previous_amount
    from marts.fct_invoices
    where invoice_period in ($1, strftime(($1 || '-01')::date - interval 1 month, '%Y-%m'))
    group by currency

),

users as (

    select
        currency,
        count(*) filter (where is_new_user) as new_user_count,
        count(*) filter (where is_lost_user) as lost_user_count
    from marts.rpt_month_over_month
    where invoice_period = $1
    group by currency

)

select
    invoices.currency,
    invoices.invoice_count,
    invoices.credit_note_count,
    invoices.amount,
    invoices.previous_amount,
    (invoices.amount - invoices.previous_amount)::decimal(38, 3) as amount_difference,
    -- Tenths of a per cent, rounded half away from zero. Integers, because the quotient of two decimals is a float.
    case
        when invoices.previous_amount > 0
            then
                sign(invoices.amount - invoices.previous_amount)::decimal(1, 0)
                * (
                    (
                        2000 * (abs(invoices.amount - invoices.previous_amount) * 1000)::hugeint
                        + (invoices.previous_amount * 1000)::hugeint
                    )
                    // (2 * (invoices.previous_amount * 1000)::hugeint)
                )::decimal(24, 0) * 0.001
    end as change_ratio,
    coalesce(users.new_user_count, 0) as new_user_count,
    coalesce(users.lost_user_count, 0) as lost_user_count
from invoices
left join users on invoices.currency = users.currency
order by invoices.invoice_count desc, invoices.currency asc
