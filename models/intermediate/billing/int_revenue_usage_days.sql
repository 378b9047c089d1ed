-- Purpose: the revenue of usage on its day, by project: included credits, usage, and adjustments of usage (rule 40).
-- Grain: one row per line type, user, plan, currency, project, UTC day and invoice period
--        (line_type, external_user_id, plan_id, currency, external_project_id, service_date, recognized_in).
-- A build replaces the rows of open lines only: those of closed lines never change, and have no billing_period here.
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_lines"},
) }}

with

lines as (

    select * from {{ ref("int_invoice_lines") }}
    {{ only_in_partial_build("status = 'open'") }}

),

invoice_line_usage as (

    select
        *,
        case when status = 'open' then service_period end as billing_period
    from {{ ref("int_invoice_line_usage") }}
    {{ only_in_partial_build("status = 'open'") }}

),

line_usage as (

    select * from invoice_line_usage
    {{ only_changed(ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"]) }}

)

select
    lines.line_type,
    line_usage.external_user_id,
    lines.plan_id,
    line_usage.currency,
    line_usage.external_project_id,
    line_usage.usage_date as service_date,
    line_usage.service_period,
    line_usage.invoice_period as recognized_in,
    line_usage.status,
    line_usage.billing_period,
    sum(line_usage.nano_credits)::{{ wide_integer() }} as nano_credits,
    sum(line_usage.nano_amount)::{{ wide_integer() }} as nano_amount
from line_usage
inner join lines on line_usage.line_id = lines.line_id
group by
    lines.line_type,
    line_usage.external_user_id,
    lines.plan_id,
    line_usage.currency,
    line_usage.external_project_id,
    line_usage.usage_date,
    line_usage.service_period,
    line_usage.invoice_period,
    line_usage.status,
    line_usage.billing_period
