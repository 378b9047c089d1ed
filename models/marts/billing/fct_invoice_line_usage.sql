-- Purpose: which sessions' credits, of which days, each invoice line holds: the way from a line to the vendor's rows.
-- Grain: one row an invoice line, session and UTC day (line_id, session_id, usage_date).
{{ config(materialized="view", meta={"kept_by": "line"}) }}

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

    select * from {{ source("ledger", "closed_line_usage") }}

)

select
    rated_line_usage.line_id,
    rated_line_usage.session_id,
    rated_line_usage.usage_date,
    {{ nano_to_credits("rated_line_usage.nano_credits") }} as credits
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
    {{ nano_to_credits("adjustment_usage.nano_credits") }} as credits
from adjustment_usage
inner join periods on periods.is_first_open
union all
select
    closed_usage.line_id,
    closed_usage.session_id,
    closed_usage.usage_date,
    closed_usage.credits
from closed_usage
