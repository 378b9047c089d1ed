-- Purpose: the current period: the newest complete one (rule 34), or the newest while none is complete. The newest alone would
--          not do, because a session that crosses a month's end makes a period that nobody has asked for yet.
-- Grain: one row, or none while there is no period.
{{ config(materialized="view") }}

select
    billing_period,
    period_start_at_utc,
    period_end_at_utc,
    is_complete
from {{ ref("int_usage_periods") }}
qualify row_number() over (order by is_complete desc, billing_period desc) = 1
