-- Purpose: how much revenue the users who were first invoiced in one month still bring in each later month.
-- Grain: one row per month of the first invoice, invoice period from then on, and currency (cohort_period, invoice_period, currency).
-- A user who changes the currency is a customer of the new one from then on, and lost to the old one.

with

lines as (

    select * from {{ ref("int_invoice_lines") }}

),

periods as (

    select * from {{ ref("int_billing_periods") }}

),

-- An adjustment corrects another month, so it says nothing of whether a customer stays.
invoices as (

    select
        lines.external_user_id,
        lines.invoice_period,
        lines.currency,
        sum(lines.amount)::decimal(38, 3) as amount
    from lines
    where lines.line_type <> 'adjustment'
    group by lines.external_user_id, lines.invoice_period, lines.currency

),

users as (

    select
        invoices.external_user_id,
        invoices.currency,
        min(invoices.invoice_period) as cohort_period
    from invoices
    group by invoices.external_user_id, invoices.currency

),

first_invoices as (

    select
        users.external_user_id,
        users.currency,
        users.cohort_period,
        invoices.amount as starting_amount
    from users
    inner join invoices
        on
            users.external_user_id = invoices.external_user_id
            and users.currency = invoices.currency
            and users.cohort_period = invoices.invoice_period

),

cohorts as (

    select
        first_invoices.cohort_period,
        first_invoices.currency,
        count(*) as cohort_user_count,
        sum(first_invoices.starting_amount)::decimal(38, 3) as starting_amount
    from first_invoices
    group by first_invoices.cohort_period, first_invoices.currency

),

stayed as (

    select
        first_invoices.cohort_period,
        first_invoices.currency,
        invoices.invoice_period,
        count(*) as user_count,
        sum(invoices.amount)::decimal(38, 3) as amount,
        sum(least(invoices.amount, first_invoices.starting_amount))::decimal(38, 3) as retained_amount
    from first_invoices
    inner join invoices
        on
            first_invoices.external_user_id = invoices.external_user_id
            and first_invoices.currency = invoices.currency
    group by first_invoices.cohort_period, first_invoices.currency, invoices.invoice_period

),

invoiced_periods as (

    select distinct invoices.invoice_period from invoices

),

months as (

    select
        cohorts.cohort_period,
        invoiced_periods.invoice_period,
        cohorts.currency,
        case when periods.is_closed then 'closed' else 'open' end as status,
        cohorts.cohort_user_count,
        coalesce(stayed.user_count, 0) as user_count,
        cohorts.starting_amount,
        coalesce(stayed.amount, 0)::decimal(38, 3) as amount,
        coalesce(stayed.retained_amount, 0)::decimal(38, 3) as retained_amount
    from cohorts
    inner join invoiced_periods on cohorts.cohort_period <= invoiced_periods.invoice_period
    inner join periods on invoiced_periods.invoice_period = periods.billing_period
    left join stayed
        on
            cohorts.cohort_period = stayed.cohort_period
            and cohorts.currency = stayed.currency
            and invoiced_periods.invoice_period = stayed.invoice_period

)

select
    months.cohort_period,
    {{ period_start_date("months.cohort_period") }} as cohort_period_start_date,
    months.invoice_period,
    {{ period_start_date("months.invoice_period") }} as invoice_period_start_date,
    months.currency,
    months.status,
    months.cohort_user_count,
    months.user_count,
    months.starting_amount,
    months.amount,
    months.retained_amount,
    case when months.starting_amount > 0 then {{ signed_ratio("months.amount", "months.starting_amount") }} end as net_retention,
    case when months.starting_amount > 0 then {{ signed_ratio("months.retained_amount", "months.starting_amount") }} end
        as gross_retention
from months
