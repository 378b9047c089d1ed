-- Purpose: what the forecast of credits is computed from: each user's credits and limit in the current period, the credits of the
--          last 7 days, and the time that has passed.
-- Grain: one row per user of the current period's credits quota (external_user_id, billing_period).

with

period as (

    select * from {{ ref("int_current_period") }}

),

newest_load as (

    select max(started_at_utc) as started_at_utc from {{ ref("stg_miosa__loads") }}

),

utilization as (

    select * from {{ ref("int_quota_utilization") }}
    where quota = 'credits'

),

sessions as (

    select * from {{ ref("int_sessions") }}

),

clock as (

    select
        period.billing_period,
        period.period_start_at_utc,
        least(period.period_end_at_utc, newest_load.started_at_utc) as as_of_at_utc,
        least(period.period_end_at_utc, newest_load.started_at_utc) - interval 7 days as window_start_at_utc,
        {{ elapsed_microseconds("period.period_start_at_utc", "period.period_end_at_utc") }} as period_microseconds,
        -- Null while the period has not begun: there is no rate.
        nullif(
            greatest(
                {{ elapsed_microseconds(
                    "period.period_start_at_utc", "least(period.period_end_at_utc, newest_load.started_at_utc)"
                ) }},
                0
            ),
            0
        ) as so_far_microseconds
    from period
    cross join newest_load

),

-- The part of each session in the last 7 days, split like any other (rule 13).
recent_parts as (

    select
        sessions.external_user_id,
        sessions.cost_nano_credits,
        sessions.elapsed_microseconds,
        {{ elapsed_microseconds(
            "sessions.started_at_utc", "greatest(sessions.started_at_utc, clock.window_start_at_utc)"
        ) }} as from_microseconds,
        {{ elapsed_microseconds(
            "sessions.started_at_utc", "least(sessions.end_at_utc, clock.as_of_at_utc)"
        ) }} as to_microseconds
    from sessions
    inner join clock
        on
            sessions.started_at_utc < clock.as_of_at_utc
            and (
                sessions.end_at_utc > clock.window_start_at_utc
                or sessions.started_at_utc = clock.window_start_at_utc
            )
    -- Implied by the condition above, but it leaves few of all sessions to be joined.
    where sessions.end_at_utc >= (select recent_clock.window_start_at_utc from clock as recent_clock)

),

recent as (

    select
        recent_parts.external_user_id,
        sum(
            {{ prorated_share(
                "recent_parts.cost_nano_credits",
                "recent_parts.from_microseconds",
                "recent_parts.to_microseconds",
                "recent_parts.elapsed_microseconds",
            ) }}
        )::{{ wide_integer() }} as recent_nano
    from recent_parts
    group by recent_parts.external_user_id

)

select
    utilization.external_user_id,
    clock.billing_period,
    clock.period_start_at_utc,
    clock.as_of_at_utc,
    clock.period_microseconds,
    clock.so_far_microseconds,
    utilization.limit_value,
    utilization.reached_limit_at_utc as reached_at_utc,
    {{ credits_to_nano("utilization.used_value") }} as so_far_nano,
    -- A limit of zero is reached by the first use. GREATEST skips nulls, so a missing limit is handled first.
    case
        when utilization.limit_value is not null
            then greatest({{ credits_to_nano("utilization.limit_value") }}, 1)
    end as limit_nano,
    coalesce(recent.recent_nano, 0)::{{ wide_integer() }} as recent_nano
from utilization
inner join clock on utilization.billing_period = clock.billing_period
left join recent on utilization.external_user_id = recent.external_user_id
