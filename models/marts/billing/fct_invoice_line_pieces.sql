-- Purpose: which sessions' credits, of which days, each invoice line holds: the way from a line to the vendor's rows.
-- Grain: one row an invoice line, session and UTC day (line_id, session_id, usage_date).
{{ config(materialized="view", meta={"kept_by": "line"}) }}

with

periods as (

    select * from {{ ref("int_billing_periods") }}
    where not is_closed

),

recomputed_pieces as (

    select * from {{ ref("int_recomputed_pieces") }}

),

adjustment_pieces as (

    select * from {{ ref("int_adjustment_pieces") }}

),

closed_pieces as (

    select * from {{ source("ledger", "closed_line_pieces") }}

)

select
    recomputed_pieces.line_id,
    recomputed_pieces.session_id,
    recomputed_pieces.usage_date,
    {{ nano_to_credits("recomputed_pieces.nano_credits") }} as credits
from recomputed_pieces
inner join periods on recomputed_pieces.billing_period = periods.billing_period
union all
select
    {{ invoice_line_id(
        "adjustment_pieces.external_user_id", "periods.billing_period", "adjustment_pieces.service_period", "'adjustment'",
        "adjustment_pieces.currency", "null::string", "null::date", "null::decimal(18, 9)",
    ) }} as line_id,
    adjustment_pieces.session_id,
    adjustment_pieces.usage_date,
    {{ nano_to_credits("adjustment_pieces.nano_credits") }} as credits
from adjustment_pieces
inner join periods on periods.is_first_open
union all
select
    closed_pieces.line_id,
    closed_pieces.session_id,
    closed_pieces.usage_date,
    closed_pieces.credits
from closed_pieces
