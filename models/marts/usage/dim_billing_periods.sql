-- Purpose: the billing periods that the warehouse covers, and whether each is complete (rule 34) and closed.
-- Grain: one row per billing period (billing_period), without gaps.
{{ config(materialized="view") }}

select
    usage_periods.billing_period,
    {{ period_start_date("usage_periods.billing_period") }} as period_start_date,
    usage_periods.period_start_at_utc,
    usage_periods.period_end_at_utc,
    usage_periods.has_ended,
    usage_periods.is_complete,
    usage_periods.is_closed,
    usage_periods.closed_at_utc
from {{ ref("int_usage_periods") }} as usage_periods
