-- Purpose: each session of staging split by billing period in one step, to hold the sums of its days against
--          (parts of any grain sum to the session, rule 13). For the reconciliation only.
-- Grain: one row a session and billing period (session_id, billing_period).
{{ config(**kept("session", touch="touch_their_periods", then="touch_their_periods")) }}

with

sessions as (

    select * from {{ ref("int_sessions") }}
    {{ touched_only("session") }}

),

months as (

    select
        sessions.*,
        {{ each_step(
            "date_trunc('month', sessions.started_at_utc)",
            last_day("sessions.started_at_utc", "sessions.end_at_utc") ~ "::timestamp",
            "1 month",
        ) }} as month_start_at_utc
    from sessions

)

select
    months.session_id,
    months.row_hash,
    months.external_user_id,
    {{ billing_period("months.month_start_at_utc") }} as billing_period,
    {{ split_part(
        "months.cost_nano_credits",
        elapsed_microseconds("months.started_at_utc", "greatest(months.month_start_at_utc, months.started_at_utc)"),
        elapsed_microseconds(
            "months.started_at_utc", "least(months.month_start_at_utc + interval 1 month, months.end_at_utc)"
        ),
        "months.elapsed_microseconds",
    ) }} as nano_credits
from months
