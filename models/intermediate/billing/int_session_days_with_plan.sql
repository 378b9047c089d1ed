-- Purpose: each invoiced day of a session, with the plan and price list that define its rating period (rule 20).
-- Grain: one row per session and UTC day with credits (session_id, usage_date).
{{ config(
    materialized="view",
    meta={"changes": "int_user_periods_changed_by_prices", "changed_keys": ["external_user_id", "billing_period"], "joins": true},
) }}
-- depends_on: {{ ref("int_user_periods_changed_by_prices") }}  (tests of a partial build read the changed periods)

with

session_days as (

    select * from {{ ref("int_session_days") }}
    where
        is_attributed
        and nano_credits > 0

),

price_segments as (

    select * from {{ ref("int_price_segments") }}

)

select
    session_days.session_id,
    session_days.usage_date,
    session_days.external_user_id,
    session_days.billing_period,
    price_segments.plan_id,
    price_segments.price_valid_from,
    session_days.part_start_at_utc,
    session_days.sandbox_id,
    session_days.external_project_id,
    session_days.workspace_id,
    session_days.usage_seconds,
    session_days.nano_credits
from session_days
inner join price_segments
    on
        session_days.external_user_id = price_segments.external_user_id
        and session_days.billing_period = price_segments.billing_period
        and session_days.usage_date >= price_segments.from_date
        and session_days.usage_date < price_segments.to_date
