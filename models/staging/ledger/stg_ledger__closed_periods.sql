-- Purpose: the closed billing periods, with the figures and the checksum that were recorded at the close.
-- Grain: one row per closed period (billing_period).
{{ config(materialized="view") }}

select
    closed_periods.billing_period,
    closed_periods.closed_at_utc,
    closed_periods.newest_load_id,
    closed_periods.code_version,
    closed_periods.invocation_id,
    closed_periods.invoice_count,
    closed_periods.line_count,
    closed_periods.usage_row_count,
    closed_periods.credits,
    closed_periods.amounts_minor,
    closed_periods.checksum,
    closed_periods.cost_row_count,
    closed_periods.cost_credits,
    closed_periods.cost_checksum
from {{ source("ledger", "closed_periods") }} as closed_periods
