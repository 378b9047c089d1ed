-- Purpose: the current period: the newest complete one (rule 34), or the newest one while none is complete.
-- Grain: one row, or none while there is no period.
-- Completeness comes first because a session that crosses the end of a month creates a period that was not extracted yet.
{{ config(materialized="view") }}

select
    billing_period,
    period_start_at_utc,
    period_end_at_utc,
    is_complete
from {{ ref("int_usage_periods") }}
qualify row_number() over (order by is_complete desc, billing_period desc) = 1
