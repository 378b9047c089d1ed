-- Purpose: the sessions and days whose credits each invoice line bills, to trace a line back to the vendor's rows.
-- Grain: one row per invoice line, session and UTC day (line_id, session_id, usage_date).
{{ config(
    materialized="view",
    meta={"changes": "int_user_periods_changed_by_lines", "changed_keys": ["line_id"], "changed_through": "int_rated_lines"},
) }}

select
    invoice_line_usage.line_id,
    invoice_line_usage.session_id,
    invoice_line_usage.usage_date,
    {{ nano_to_credits("invoice_line_usage.nano_credits") }} as credits
from {{ ref("int_invoice_line_usage") }} as invoice_line_usage
