-- Purpose: what each user is invoiced for a month beside the month before, and which users are new or lost.
-- Grain: one row per user, invoice period and currency (external_user_id, invoice_period, currency): with an invoice in the period or
--        in the one before.

with

invoices as (

    select * from {{ ref("int_invoices") }}

),

periods as (

    select * from {{ ref("int_billing_periods") }}

),

billed_users as (

    select distinct
        invoices.external_user_id,
        invoices.invoice_period
    from invoices
    where invoices.has_lines_of_its_period

),

sides as (

    select
        invoices.external_user_id,
        invoices.invoice_period,
        invoices.currency,
        invoices.credits,
        invoices.amount,
        0::decimal(38, 9) as previous_credits,
        0::decimal(38, 3) as previous_amount
    from invoices
    union all
    select
        invoices.external_user_id,
        {{ billing_period(period_start("invoices.invoice_period") ~ " + interval 1 month") }} as invoice_period,
        invoices.currency,
        0::decimal(38, 9) as credits,
        0::decimal(38, 3) as amount,
        invoices.credits as previous_credits,
        invoices.amount as previous_amount
    from invoices

),

months as (

    select
        sides.external_user_id,
        sides.invoice_period,
        sides.currency,
        sum(sides.credits)::decimal(38, 9) as credits,
        sum(sides.previous_credits)::decimal(38, 9) as previous_credits,
        sum(sides.amount)::decimal(38, 3) as amount,
        sum(sides.previous_amount)::decimal(38, 3) as previous_amount
    from sides
    group by sides.external_user_id, sides.invoice_period, sides.currency

),

totals as (

    select
        months.*,
        sum(months.amount) over (partition by months.invoice_period, months.currency) as total_amount
    from months

)

select
    totals.external_user_id,
    totals.invoice_period,
    {{ period_start_date("totals.invoice_period") }} as invoice_period_start_date,
    totals.currency,
    case when periods.is_closed then 'closed' else 'open' end as status,
    totals.credits,
    totals.previous_credits,
    (totals.credits - totals.previous_credits)::decimal(38, 9) as credits_difference,
    totals.amount,
    totals.previous_amount,
    (totals.amount - totals.previous_amount)::decimal(38, 3) as amount_difference,
    case
        when totals.previous_amount > 0
            then {{ signed_ratio("totals.amount - totals.previous_amount", "totals.previous_amount") }}
    end as amount_change_ratio,
    case when totals.total_amount > 0 then {{ signed_ratio("totals.amount", "totals.total_amount") }} end as amount_share,
    billed.external_user_id is not null and billed_before.external_user_id is null as is_new_user,
    billed.external_user_id is null and billed_before.external_user_id is not null as is_lost_user
from totals
inner join periods on totals.invoice_period = periods.billing_period
left join billed_users as billed
    on
        totals.external_user_id = billed.external_user_id
        and totals.invoice_period = billed.invoice_period
left join billed_users as billed_before
    on
        totals.external_user_id = billed_before.external_user_id
        and {{ billing_period(period_start("totals.invoice_period") ~ " - interval 1 month") }} = billed_before.invoice_period
