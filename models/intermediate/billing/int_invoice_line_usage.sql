-- Purpose: the sessions and days whose credits each invoice line bills, to trace a line back to the vendor's rows.
-- Grain: one row per invoice line, session and UTC day (line_id, session_id, usage_date).
{{ config(materialized="view", meta={"changes": "int_user_periods_changed_by_lines", "changed_keys": ["line_id"], "changed_through": "int_rated_lines"}) }}

with

periods as (

    select * from {{ ref("int_billing_periods") }}
    where not is_closed

),

rated_line_usage as (

    select * from {{ ref("int_rated_line_usage") }}

),

adjustment_usage as (

    select * from {{ ref("int_adjustment_usage") }}

),

closed_usage as (

    select * from {{ ref("stg_ledger__closed_line_usage") }}

)

select
    rated_line_usage.line_id,
    rated_line_usage.session_id,
    rated_line_usage.usage_date,
    rated_line_usage.nano_credits
from rated_line_usage
inner join periods on rated_line_usage.billing_period = periods.billing_period
union all
select
    {{ invoice_line_id(
        "adjustment_usage.external_user_id", "periods.billing_period", "adjustment_usage.service_period", "'adjustment'",
        "adjustment_usage.currency", "null::string", "null::date", "null::decimal(18, 9)",
    ) }} as line_id,
    adjustment_usage.session_id,
    adjustment_usage.usage_date,
    adjustment_usage.nano_credits
from adjustment_usage
inner join periods on periods.is_first_open
union all
select
    closed_usage.line_id,
    closed_usage.session_id,
    closed_usage.usage_date,
    {{ credits_to_nano("closed_usage.credits") }} as nano_credits
from closed_usage
