-- Purpose: how many sessions of a user run at the same time, exactly: a sweep over all starts and ends (rule 15).
-- Grain: one row a user, billing period and instant at which that number may change
--        (external_user_id, billing_period, changed_at_utc).
-- A part that is carried in from the period before starts at the period's start. Starts and ends of one instant are
-- taken together, so an end at the instant of a start does not overlap it. Sessions of no length do not count.
{{ config(**kept("user_period")) }}

with

parts as (

    select * from {{ ref("fct_session_period_credits") }}
    {{ touched_only("user_period") }}
    where part_end_at_utc > part_start_at_utc

),

changes as (

    select
        parts.external_user_id,
        parts.billing_period,
        parts.part_start_at_utc as changed_at_utc,
        1 as change
    from parts
    union all
    select
        parts.external_user_id,
        parts.billing_period,
        parts.part_end_at_utc as changed_at_utc,
        -1 as change
    from parts

),

instants as (

    select
        changes.external_user_id,
        changes.billing_period,
        changes.changed_at_utc,
        sum(changes.change) as change
    from changes
    group by changes.external_user_id, changes.billing_period, changes.changed_at_utc

)

select
    instants.external_user_id,
    instants.billing_period,
    instants.changed_at_utc,
    (
        sum(instants.change) over (
            partition by instants.external_user_id, instants.billing_period
            order by instants.changed_at_utc
        )
    )::bigint as running_session_count
from instants
