-- Purpose: the lines that closed invoices have at Stripe, in Stripe's minor units.
-- Grain: one row per invoice and line at Stripe (invoice_id, line_number).
-- Lines of nothing and invoices of nothing are left out. Stripe takes 250 lines at once, so of an invoice with more the lines of one type,
-- service period and plan become one. The running sum is rounded, not the line, so that an invoice comes to its rounded total.
{{ config(materialized="view") }}
{%- set most_lines = 250 %}

with

invoice_lines as (

    select * from {{ ref("int_invoice_lines") }}
    where status = 'closed' and amount_minor <> 0

),

customers as (

    select * from {{ ref("stg_billing__stripe_customers") }}

),

counted as (

    select
        invoice_lines.*,
        count(*) over (partition by invoice_lines.invoice_id) > {{ most_lines }} as is_grouped,
        sum(invoice_lines.amount_minor) over (partition by invoice_lines.invoice_id) as invoice_amount_minor
    from invoice_lines

),

lines as (

    select
        counted.invoice_id,
        counted.external_user_id,
        counted.invoice_period,
        counted.currency,
        counted.currency_exponent,
        counted.closed_at_utc,
        counted.is_grouped,
        counted.service_period,
        counted.line_type,
        counted.plan_id,
        case when not counted.is_grouped then counted.line_id end as line_id,
        min(counted.price_valid_from) as price_valid_from,
        min(counted.tier_from_credits) as tier_from_credits,
        min(counted.description) as description,
        count(*) as line_count,
        sum(counted.amount_minor) as amount_minor,
        {{ sha256(joined_texts(text_key(["counted.line_id", "counted.amount_minor::string"]), "", "counted.line_id")) }} as lines_checksum
    from counted
    where counted.invoice_amount_minor <> 0
    group by
        counted.invoice_id,
        counted.external_user_id,
        counted.invoice_period,
        counted.currency,
        counted.currency_exponent,
        counted.closed_at_utc,
        counted.is_grouped,
        counted.service_period,
        counted.line_type,
        counted.plan_id,
        case when not counted.is_grouped then counted.line_id end

),

numbered as (

    select
        lines.*,
        (row_number() over (
            partition by lines.invoice_id
            order by {{ invoice_line_order("lines") }}
        ))::bigint as line_number
    from lines

),

summed as (

    select
        numbered.*,
        sum(numbered.amount_minor) over (
            partition by numbered.invoice_id order by numbered.line_number rows between unbounded preceding and current row
        ) as amount_until
    from numbered

),

in_stripe_units as (

    select
        summed.*,
        {{ stripe_amount("summed.amount_until", "summed.currency", "summed.currency_exponent") }}
        - {{ stripe_amount("(summed.amount_until - summed.amount_minor)", "summed.currency", "summed.currency_exponent") }} as stripe_amount
    from summed

)

select
    in_stripe_units.invoice_id,
    in_stripe_units.line_number,
    in_stripe_units.external_user_id,
    in_stripe_units.invoice_period,
    in_stripe_units.currency,
    customers.stripe_customer_id,
    in_stripe_units.line_id,
    in_stripe_units.line_type,
    in_stripe_units.service_period,
    in_stripe_units.plan_id,
    in_stripe_units.line_count,
    case when in_stripe_units.is_grouped then in_stripe_units.lines_checksum end as lines_checksum,
    in_stripe_units.amount_minor::bigint as amount_minor,
    in_stripe_units.stripe_amount,
    {{ stripe_exponent("in_stripe_units.currency", "in_stripe_units.currency_exponent") }} as stripe_exponent,
    left(
        case
            when in_stripe_units.is_grouped
                then
                    coalesce(in_stripe_units.plan_id || ': ', '') || in_stripe_units.line_type || ' of ' || in_stripe_units.service_period
                    || ' (' || in_stripe_units.line_count::string || ' lines)'
            else in_stripe_units.description
        end,
        500
    ) as description,
    in_stripe_units.closed_at_utc
from in_stripe_units
left join customers on in_stripe_units.external_user_id = customers.external_user_id
