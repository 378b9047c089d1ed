-- Purpose: the periods that are invoiced: closed ones, the first open one, and later ones up to the last with credits. A period
--          that begins after the newest load is not invoiced (rule 37).
-- Grain: one row per billing period (billing_period), without gaps from the first invoiced one.
-- Empty while there are no attributed credits, no closed period and no variable first_billing_period.

with

closed_periods as (

    select * from {{ ref("stg_ledger__closed_periods") }}

),

user_periods as (

    select * from {{ ref("int_user_periods") }}
    where
        nano_credits > 0
        and external_user_id <> '{{ unattributed() }}'

),

newest_load as (

    select max(started_at_utc) as started_at_utc from {{ ref("stg_miosa__loads") }}

),

closed_bounds as (

    select
        min(closed_periods.billing_period) as first_period,
        max(closed_periods.billing_period) as last_period
    from closed_periods

),

used_bounds as (

    select
        min(user_periods.billing_period) as first_period,
        max(user_periods.billing_period) as last_period
    from user_periods

),

bounds as (

    -- Once a period is closed, the first period is fixed: a late row of an earlier month must not open a month before it.
    select
        {{ period_start(
            "coalesce(closed_bounds.first_period, " ~ period_variable("first_billing_period") ~ ", used_bounds.first_period)"
        ) }}::date as first_start,
        ({{ period_start("closed_bounds.last_period") }} + interval 1 month)::date as after_closed,
        {{ period_start("used_bounds.last_period") }}::date as last_used_start
    from closed_bounds
    cross join used_bounds

),

spans as (

    select
        bounds.first_start,
        coalesce(bounds.after_closed, bounds.first_start) as first_open_start,
        bounds.last_used_start
    from bounds
    where bounds.first_start is not null

),

starts as (

    select
        spans.first_open_start,
        {{ each_step(
            "spans.first_start",
            "case when spans.last_used_start > spans.first_open_start then spans.last_used_start else spans.first_open_start end",
            "1 month",
            type="date",
        ) }} as period_start
    from spans

)

select
    {{ billing_period("starts.period_start") }} as billing_period,
    starts.period_start,
    (starts.period_start + interval 1 month)::date as period_end,
    {{ days_between("starts.period_start", "(starts.period_start + interval 1 month)::date") }}::bigint as day_count,
    closed_periods.billing_period is not null as is_closed,
    starts.period_start = starts.first_open_start as is_first_open,
    closed_periods.closed_at_utc
from starts
cross join newest_load
left join closed_periods on {{ billing_period("starts.period_start") }} = closed_periods.billing_period
where starts.period_start <= newest_load.started_at_utc
