-- Purpose: the plans that users can be on, and earlier ones that are on an invoice.
-- Grain: one row per plan (plan_id).

with

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

lines as (

    select * from {{ ref("int_invoice_lines") }}
    where plan_id is not null

),

invoiced as (

    -- A plan may be gone from plans.csv after it was on a closed invoice.
    select
        lines.plan_id,
        {{ value_at_highest("lines.currency", "lines.invoice_period") }} as currency
    from lines
    group by lines.plan_id

)

select
    coalesce(plans.plan_id, invoiced.plan_id) as plan_id,
    coalesce(plans.plan_name, plans.plan_id, invoiced.plan_id) as plan_name,
    coalesce(plans.currency, invoiced.currency) as currency,
    coalesce(coalesce(plans.plan_id, invoiced.plan_id) = {{ text_variable("default_plan_id") }}, false) as is_default,
    plans.plan_id is not null as is_offered
from plans
full outer join invoiced on plans.plan_id = invoiced.plan_id
