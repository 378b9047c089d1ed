-- Purpose: usage that is on no invoice, with the reason and its cost at the vendor's price.
-- Grain: one row per billing period and reason (billing_period, reason). billing_period is null for rejected rows whose start
--        cannot be read.

with

user_periods as (

    select * from {{ ref("int_user_periods") }}

),

periods as (

    select * from {{ ref("int_billing_periods") }}

),

sessions as (

    select * from {{ ref("stg_miosa__usage_sessions") }}

),

newest_load as (

    select max(started_at_utc) as started_at_utc from {{ ref("stg_miosa__loads") }}

),

invoiced as (

    select
        min(periods.billing_period) as first_period,
        {{ billing_period("max(newest_load.started_at_utc)") }} as newest_period
    from newest_load
    left join periods on true

),

unbilled as (

    select
        user_periods.billing_period,
        case
            when user_periods.external_user_id = '{{ unattributed() }}' then 'unattributed'
            when user_periods.billing_period > invoiced.newest_period then 'period_not_begun'
            else 'before_first_period'
        end as reason,
        user_periods.session_count,
        {{ nano_to_credits("user_periods.nano_credits") }} as credits
    from user_periods
    cross join invoiced
    where
        user_periods.external_user_id = '{{ unattributed() }}'
        or invoiced.first_period is null
        or user_periods.billing_period < invoiced.first_period
        or user_periods.billing_period > invoiced.newest_period
    union all
    select
        {{ billing_period("sessions.started_at_utc") }} as billing_period,
        'rejected' as reason,
        1 as session_count,
        -- Null if the cost cannot be read or is negative.
        case
            when sessions.cost_nano_credits >= 0 then {{ nano_to_credits("sessions.cost_nano_credits") }}
        end as credits
    from sessions
    where sessions.rejection_reason is not null

),

totals as (

    select
        unbilled.billing_period,
        unbilled.reason,
        sum(unbilled.session_count)::bigint as session_count,
        coalesce(sum(unbilled.credits), 0)::decimal(38, 9) as credits
    from unbilled
    group by unbilled.billing_period, unbilled.reason

)

select
    totals.billing_period,
    {{ period_start_date("totals.billing_period") }} as period_start_date,
    totals.reason,
    totals.session_count,
    totals.credits,
    {{ vendor_cost("totals.credits") }} as vendor_cost,
    {{ text_variable("vendor_currency") }} as vendor_currency
from totals
