-- Purpose: what each user's credits will come to by the end of the current period, and when they reach the limit, by two
--          plain methods: at the rate of the period so far, and at the rate of the last 7 days.
-- Grain: one row per user of the current period's credits quota (external_user_id, billing_period).
-- Whole nano-credits and microseconds throughout. Credits are rounded down and moments up, so that the limit is reached by the
-- period's end if and only if the credits expected by then are at or over it.
{% set window_microseconds = 7 * 24 * 3600 * 1000000 %}
with

known as (

    select
        *,
        period_microseconds - so_far_microseconds as left_microseconds
    from {{ ref("int_forecast_inputs") }}

),

expected as (

    -- Capped at what the type of the columns can hold: a period of a few microseconds makes rates without bounds. LEAST skips
    -- nulls; the product with 0 keeps them.
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

-- The limit if by that method it will still be reached. Else null, so that no product below can overflow.
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
            when reachable.is_limit_reached then reachable.reached_at_utc
            else
                {{ from_epoch_us(
                    epoch_us("reachable.period_start_at_utc") ~ " + "
                    ~ ratio_upwards(
                        "reachable.run_rate_limit_nano * reachable.so_far_microseconds", "reachable.so_far_nano"
                    ) ~ "::bigint"
                ) }}
        end as run_rate_reached_at_utc,
        case
            when reachable.is_limit_reached then reachable.reached_at_utc
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
    {{ period_start_date("moments.billing_period") }} as period_start_date,
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
    case
        when moments.limit_value is null then 'no_limit'
        when moments.is_limit_reached then 'reached'
        when moments.run_rate_limit_nano is not null and moments.last_7_days_limit_nano is not null then 'likely'
        when moments.run_rate_limit_nano is not null or moments.last_7_days_limit_nano is not null then 'possible'
        when moments.run_rate_nano is not null then 'unlikely'
    end as outlook,
    moments.run_rate_reached_at_utc,
    moments.last_7_days_reached_at_utc,
    moments.{{ quota_forecast_method() }}_reached_at_utc as expected_reached_at_utc
from moments
