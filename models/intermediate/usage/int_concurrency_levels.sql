-- Purpose: how many sessions of a user run at the same time, exactly, by a sweep over all starts and ends (rule 15).
-- Grain: one row per user, billing period and number of sessions that ran at once
--        (external_user_id, billing_period, running_session_count).
-- A session that began in an earlier period starts at the period's start. At one instant, ends come before starts, so a session
-- that ends when another starts does not overlap it. Sessions of zero length do not count.
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_usage"},
) }}
{%- set starts = epoch_us("part_start_at_utc") ~ " * 2 + 1" %}
{%- set ends = epoch_us("part_end_at_utc") ~ " * 2" %}

with

events as (

    -- One number holds the instant and whether it is a start. Sorting it costs half as much as sorting two columns.
    {%- for event in [starts, ends] %}
    select
        external_user_id,
        billing_period,
        {{ event }} as event
    from {{ ref("int_session_periods") }}
    {{ only_changed(ref("int_user_periods_changed_by_usage"), ["external_user_id", "billing_period"]) }}
    where part_end_at_utc > part_start_at_utc
    {{ "union all" if not loop.last }}
    {%- endfor %}

),

running as (

    select
        events.external_user_id,
        events.billing_period,
        events.event,
        sum(case when events.event % 2 = 0 then -1 else 1 end) over (
            partition by events.external_user_id, events.billing_period
            order by events.event
            rows between unbounded preceding and current row
        ) as running_session_count
    from events

)

-- Each start raises the count by one, so each count up to the highest is reached by some start.
select
    running.external_user_id,
    running.billing_period,
    running.running_session_count::bigint as running_session_count,
    {{ from_epoch_us(whole_quotient("(min(running.event) - 1)", "2")) }} as reached_at_utc
from running
where abs(running.event % 2) = 1
group by running.external_user_id, running.billing_period, running.running_session_count
