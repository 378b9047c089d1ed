-- Purpose: when each user first owned each number of sandboxes at the same time, exactly, by a sweep over all ranges (rule 15).
-- Grain: one row per user, billing period and number of sandboxes owned at once (external_user_id, billing_period, owned_sandbox_count).
-- A range that began in an earlier period starts at the period's start. At one instant, ends come before starts.

with

sandboxes as (

    select * from {{ ref("int_owned_sandboxes") }}

),

user_periods as (

    select * from {{ ref("int_quota_user_periods") }}

),

parts as (

    select
        user_periods.external_user_id,
        user_periods.billing_period,
        greatest(sandboxes.owned_from_utc, user_periods.period_start_at_utc) as part_start_at_utc,
        -- LEAST skips nulls, which here stand for no end.
        least(sandboxes.owned_to_utc, user_periods.period_end_at_utc) as part_end_at_utc
    from user_periods
    inner join sandboxes
        on
            user_periods.external_user_id = sandboxes.external_user_id
            and user_periods.measured_at_utc > sandboxes.owned_from_utc
            and (sandboxes.owned_to_utc is null or user_periods.period_start_at_utc < sandboxes.owned_to_utc)

),

events as (

    select
        parts.external_user_id,
        parts.billing_period,
        parts.part_start_at_utc as happened_at_utc,
        1 as step
    from parts
    union all
    select
        parts.external_user_id,
        parts.billing_period,
        parts.part_end_at_utc as happened_at_utc,
        -1 as step
    from parts

),

owned as (

    select
        events.external_user_id,
        events.billing_period,
        events.happened_at_utc,
        events.step,
        sum(events.step) over (
            partition by events.external_user_id, events.billing_period
            order by events.happened_at_utc, events.step
            rows between unbounded preceding and current row
        ) as owned_sandbox_count
    from events

)

-- Each start raises the count by one, so each count up to the highest is reached by some start.
select
    owned.external_user_id,
    owned.billing_period,
    owned.owned_sandbox_count::bigint as owned_sandbox_count,
    min(owned.happened_at_utc) as reached_at_utc
from owned
where owned.step = 1
group by owned.external_user_id, owned.billing_period, owned.owned_sandbox_count
