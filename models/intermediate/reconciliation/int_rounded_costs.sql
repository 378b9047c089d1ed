-- Purpose: how many session costs were rounded when they were read (rule 1), and by how many credits in total.
-- Grain: one row per billing period in which such a session starts (billing_period).

with

sessions as (

    select * from {{ ref("stg_miosa__usage_sessions") }}
    where rounded_cost_text is not null

),

moved as (

    -- In 10^-18 credits, at which the written cost is cut off. Rounding changes a session by at most half a nano-credit.
    select
        {{ billing_period("sessions.started_at_utc") }} as billing_period,
        (
            sessions.cost_nano_credits::{{ wide_integer() }} * 1000000000
            - try_cast({{ fixed_digits("sessions.rounded_cost_text", 9, 18) }} as {{ wide_integer() }})
        )::bigint as moved_attocredits
    from sessions

)

select
    moved.billing_period,
    count(*) as row_count,
    (
        ({{ wide_sum("moved.moved_attocredits") }})::decimal(20, 0) * 0.000000000000000001::decimal(18, 18)
    )::decimal(38, 18) as moved_credits
from moved
group by moved.billing_period
