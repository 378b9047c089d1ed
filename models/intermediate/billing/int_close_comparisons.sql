-- Purpose: what closing the first open period would change, beside what it is compared with (rule 36).
-- Grain: one row per brake and currency (brake, currency); currency is null for adjusted_users, which counts all of them.
-- Adjustments count by their absolute amounts: charges and refunds do not cancel out. A currency in which no amount was
-- ever closed has no base to compare with, and no row.

with

first_open as (

    select billing_period from {{ ref("int_billing_periods") }}
    where is_first_open

),

adjustments as (

    select * from {{ ref("int_adjustments") }}

),

rated_lines as (

    select * from {{ ref("int_rated_lines") }}

),

closed_lines as (

    select * from {{ ref("stg_ledger__closed_invoice_lines") }}

),

closed_periods as (

    select
        billing_period,
        row_number() over (order by billing_period desc) as periods_ago
    from {{ ref("stg_ledger__closed_periods") }}

),

closed as (

    select
        closed_lines.currency,
        sum(closed_lines.amount_minor)::{{ wide_integer() }} as amount_minor
    from closed_lines
    where closed_lines.amount_minor <> 0
    group by closed_lines.currency

),

user_counts as (

    select
        count(distinct closed_lines.external_user_id)::{{ wide_integer() }} as closed_user_count,
        count(distinct adjusted_users.external_user_id)::{{ wide_integer() }} as adjusted_user_count
    from closed_lines
    left join (
        select distinct external_user_id from adjustments
        where amount_minor <> 0
    ) as adjusted_users on closed_lines.external_user_id = adjusted_users.external_user_id

),

adjusted as (

    select
        adjustments.currency,
        sum(abs(adjustments.amount_minor))::{{ wide_integer() }} as amount_minor
    from adjustments
    where adjustments.amount_minor <> 0
    group by adjustments.currency

),

open_amounts as (

    -- What the period's invoices come to, adjustments included.
    select
        lines.currency,
        sum(lines.amount_minor)::{{ wide_integer() }} as amount_minor
    from (
        select
            rated_lines.currency,
            rated_lines.amount_minor
        from rated_lines
        inner join first_open on rated_lines.billing_period = first_open.billing_period
        union all
        select
            adjustments.currency,
            adjustments.amount_minor
        from adjustments
    ) as lines
    group by lines.currency

),

last_three as (

    -- A period without a line in the currency came to zero.
    select
        open_amounts.currency,
        closed_periods.billing_period,
        coalesce(sum(closed_lines.amount_minor), 0)::{{ wide_integer() }} as amount_minor
    from open_amounts
    cross join closed_periods
    left join closed_lines
        on
            open_amounts.currency = closed_lines.currency
            and closed_periods.billing_period = closed_lines.invoice_period
    where closed_periods.periods_ago <= 3
    group by open_amounts.currency, closed_periods.billing_period

),

medians as (

    -- Of three figures, the one between the lowest and the highest.
    select
        last_three.currency,
        (
            sum(last_three.amount_minor) - min(last_three.amount_minor) - max(last_three.amount_minor)
        )::{{ wide_integer() }} as amount_minor
    from last_three
    group by last_three.currency
    having count(*) = 3

),

compared as (

    select
        'adjusted_amount' as brake,
        adjusted.currency,
        adjusted.amount_minor as measured,
        greatest(closed.amount_minor, 0) as base
    from adjusted
    inner join closed on adjusted.currency = closed.currency
    union all
    select
        'adjusted_users' as brake,
        null::string as currency,
        user_counts.adjusted_user_count as measured,
        user_counts.closed_user_count as base
    from user_counts
    where user_counts.adjusted_user_count > 0
    union all
    select
        'period_amount' as brake,
        open_amounts.currency,
        open_amounts.amount_minor as measured,
        medians.amount_minor as base
    from open_amounts
    inner join medians on open_amounts.currency = medians.currency

),

exponents as (

    select
        currency,
        max(currency_exponent) as currency_exponent
    from (
        select
            currency,
            currency_exponent
        from adjustments
        union all
        select
            currency,
            currency_exponent
        from rated_lines
    ) as currencies
    group by currency

)

select
    compared.brake,
    compared.currency,
    first_open.billing_period,
    compared.measured,
    compared.base,
    exponents.currency_exponent
from compared
left join exponents on compared.currency = exponents.currency
cross join first_open
