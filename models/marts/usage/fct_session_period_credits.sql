-- Purpose: what each session used and cost in each billing period.
-- Grain: one row a session and billing period in which it has a part (session_id, billing_period).
-- A view: a copy of the table behind it would cost each build as much as the split itself.
{{ config(materialized="view", meta={"kept_by": "user_period"}) }}

with

session_periods as (

    select * from {{ ref("int_session_periods") }}

)

select
    session_periods.session_id,
    session_periods.billing_period,
    session_periods.external_user_id,
    session_periods.sandbox_id,
    session_periods.external_project_id,
    session_periods.workspace_id,
    session_periods.part_start_at_utc,
    session_periods.part_end_at_utc,
    session_periods.usage_seconds,
    {{ nano_to_credits("session_periods.nano_credits") }} as credits,
    session_periods.is_provisional
from session_periods
