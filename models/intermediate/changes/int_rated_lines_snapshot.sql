-- Purpose: what int_rated_line_usage was made of, for the next build to compare with.
-- Grain: as int_rated_lines.
-- depends_on: {{ ref("int_rated_line_usage") }}  (the snapshot is taken after the table was made of it, so that a kill loses no change)
{{ config(tags=["changes"], meta={"compared_by": "int_user_periods_changed_by_lines"}) }}

select
    external_user_id,
    billing_period,
    line_id,
    start_nano,
    end_nano
from {{ ref("int_rated_lines") }}
where end_nano > start_nano
