-- Purpose: what each user's credits will come to by the end of the current period, and when they reach the limit, by two
--          plain methods: at the rate of the period so far, and at the rate of the last 7 days.
-- Grain: one row a user of the current period's credits quota (external_user_id, billing_period).
-- Whole nano-credits and microseconds all the way: credits are rounded down, moments up, so that the limit is reached by the
-- period's end if and only if the credits expected by then are at or over it.
{% set window_microseconds = 7 * 24 * 3600 * 1000000 %}
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

-- What of each session lies in the last 7 days, cut exactly as any split is (rule 13).
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
    -- Which the condition above implies; but this one leaves few of the history's sessions to be joined.
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

),

known as (

    select
        utilization.external_user_id,
        clock.billing_period,
        clock.period_start_at_utc,
        clock.as_of_at_utc,
        clock.period_microseconds,
        clock.so_far_microseconds,
        clock.period_microseconds - clock.so_far_microseconds as left_microseconds,
        utilization.limit_value,
        utilization.reached_limit_at_utc,
        {{ credits_to_nano("utilization.used_value") }} as so_far_nano,
        -- A limit of zero is reached by the first use. (GREATEST skips nulls: no limit is told apart first.)
        case
            when utilization.limit_value is not null
                then greatest({{ credits_to_nano("utilization.limit_value") }}, 1)
        end as limit_nano,
        coalesce(recent.recent_nano, 0)::{{ wide_integer() }} as recent_nano
    from utilization
    inner join clock on utilization.billing_period = clock.billing_period
    left join recent on utilization.external_user_id = recent.external_user_id

),

expected as (

    -- Capped at what the columns' type holds: a period of a few microseconds makes rates without bounds. LEAST skips nulls:
    -- the product with 0 keeps them.
    select
        known.*,
        least(
            {{ wide_quotient("known.so_far_nano * known.period_microseconds", "known.so_far_microseconds") }},
            {{ "9" * 29 }}::{{ wide_integer() }}
        ) + 0 * known.so_far_microseconds as run_rate_nano,
        least(
            known.so_far_nano + {{ wide_quotient("known.recent_nano * known.left_microseconds", window_microseconds) }},
            {{ "9" * 29 }}::{{ wide_integer() }}
        ) + 0 * known.left_microseconds as last_7_days_nano
    from known

),

-- The limit where it is still to be reached, and will be by that method. Else null, which no product below can overflow.
reachable as (

    select
        expected.*,
        {%- for method in ["run_rate", "last_7_days"] %}
        case
            when expected.so_far_nano < expected.limit_nano and expected.limit_nano <= expected.{{ method }}_nano
                then expected.limit_nano
        end as {{ method }}_limit_nano,
        {%- endfor %}
        coalesce(expected.so_far_nano >= expected.limit_nano, false) as is_limit_reached
    from expected

),

moments as (

    select
        reachable.*,
        case
            when reachable.is_limit_reached then reachable.reached_limit_at_utc
            else
                {{ from_epoch_us(
                    epoch_us("reachable.period_start_at_utc") ~ " + "
                    ~ ratio_upwards(
                        "reachable.run_rate_limit_nano * reachable.so_far_microseconds", "reachable.so_far_nano"
                    ) ~ "::bigint"
                ) }}
        end as run_rate_reached_at_utc,
        case
            when reachable.is_limit_reached then reachable.reached_limit_at_utc
            else
                {{ from_epoch_us(
                    epoch_us("reachable.as_of_at_utc") ~ " + "
                    ~ ratio_upwards(
                        "(reachable.last_7_days_limit_nano - reachable.so_far_nano) * " ~ window_microseconds,
                        "reachable.recent_nano",
                    ) ~ "::bigint"
                ) }}
        end as last_7_days_reached_at_utc
    from reachable

)

select
    moments.external_user_id,
    moments.billing_period,
    moments.as_of_at_utc,
    moments.limit_value,
    {{ nano_to_credits("moments.so_far_nano") }} as credits_so_far,
    {{ nano_to_credits("moments.recent_nano") }} as last_7_days_credits,
    {{ nano_to_credits("moments.run_rate_nano") }} as run_rate_expected_credits,
    {{ nano_to_credits("moments.last_7_days_nano") }} as last_7_days_expected_credits,
    {{ nano_to_credits("least(moments.run_rate_nano, moments.last_7_days_nano)") }} as low_expected_credits,
    {{ nano_to_credits("greatest(moments.run_rate_nano, moments.last_7_days_nano)") }} as high_expected_credits,
    {{ nano_to_credits("moments." ~ quota_forecast_method() ~ "_nano") }} as expected_credits,
    moments.is_limit_reached,
    moments.run_rate_reached_at_utc,
    moments.last_7_days_reached_at_utc,
    moments.{{ quota_forecast_method() }}_reached_at_utc as expected_reached_at_utc
from moments
