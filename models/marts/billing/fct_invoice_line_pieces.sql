-- Purpose: the earlier name of fct_invoice_line_usage, for queries that still use it.
-- Grain: one row per invoice line, session and UTC day (line_id, session_id, usage_date).
{{ config(materialized="view") }}

select
    line_id,
    session_id,
    usage_date,
    {{ nano_to_credits("nano_credits") }} as credits
from {{ ref("int_invoice_line_usage") }}
