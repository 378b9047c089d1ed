-- Purpose: the readable credits of rejected session rows, by the periods in which the vendor may have counted them (rule 38).
-- Grain: one row per user and billing period (external_user_id, billing_period).
-- As for any session (rule 9), a row belongs to its own user, else to its sandbox's owner at its start, else to nobody. A row
-- whose interval is reversed or only half readable counts as a whole in the period of its start, else of its end. A row
-- without a readable cost or time does not count.

with

sessions as (

    select * from {{ ref("stg_miosa__usage_sessions") }}
    where
        rejection_reason is not null
        and cost_nano_credits > 0
        and coalesce(started_at_utc, ended_at_utc) is not null

),

owners as (

    select * from {{ ref("int_sandbox_owners") }}

),

periods as (

    select * from {{ ref("int_usage_periods") }}

),

intervals as (

    select
        sessions.external_user_id,
        sessions.sandbox_id,
        sessions.cost_nano_credits,
        coalesce(sessions.started_at_utc, sessions.ended_at_utc) as start_at_utc,
        greatest(
            coalesce(sessions.started_at_utc, sessions.ended_at_utc),
            coalesce(
                sessions.ended_at_utc,
                {{ add_seconds("sessions.started_at_utc", "greatest(sessions.duration_seconds, 0)") }},
                sessions.started_at_utc
            )
        ) as end_at_utc
    from sessions

),

owned as (

    select
        intervals.start_at_utc,
        intervals.end_at_utc,
        intervals.cost_nano_credits,
        coalesce(intervals.external_user_id, owners.external_user_id, '{{ unattributed() }}') as external_user_id,
        {{ elapsed_microseconds("intervals.start_at_utc", "intervals.end_at_utc") }} as elapsed_microseconds
    from intervals
    left join owners
        on
            intervals.sandbox_id = owners.sandbox_id
            and intervals.start_at_utc >= owners.valid_from_utc
            and (owners.valid_to_utc is null or intervals.start_at_utc < owners.valid_to_utc)

),

parts as (

    select
        owned.*,
        periods.billing_period,
        owned.start_at_utc >= periods.period_start_at_utc as has_start,
        owned.end_at_utc <= periods.period_end_at_utc as has_end,
        {{ elapsed_microseconds(
            "owned.start_at_utc", "greatest(owned.start_at_utc, periods.period_start_at_utc)"
        ) }} as elapsed_before,
        {{ elapsed_microseconds(
            "owned.start_at_utc", "least(owned.end_at_utc, periods.period_end_at_utc)"
        ) }} as elapsed_by_end
    from owned
    inner join periods
        on
            owned.start_at_utc < periods.period_end_at_utc
            and (
                owned.end_at_utc > periods.period_start_at_utc
                or owned.start_at_utc >= periods.period_start_at_utc
            )

)

select
    parts.external_user_id,
    parts.billing_period,
    count(*) as row_count,
    sum(
        {{ prorated_share("parts.cost_nano_credits", "parts.elapsed_before", "parts.elapsed_by_end", "parts.elapsed_microseconds") }}
    )::{{ wide_integer() }} as split_nano_credits,
    sum(case when parts.has_start then parts.cost_nano_credits else 0 end)::{{ wide_integer() }} as start_nano_credits,
    sum(case when parts.has_end then parts.cost_nano_credits else 0 end)::{{ wide_integer() }} as end_nano_credits
from parts
group by parts.external_user_id, parts.billing_period
