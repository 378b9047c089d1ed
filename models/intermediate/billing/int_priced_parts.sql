-- Purpose: each part of a session that is invoiced, with the stretch it belongs to and its place in it: which of the
--          stretch's nano-credits it holds, in the order in which they fill the allowance and the tiers (rule 29).
-- Grain: one row a session and UTC day with credits (session_id, usage_date).
-- A stretch is all days of a period with the same plan and price list, contiguous or not (rule 20).
{{ config(**kept("user_period", touch="touch_what_moved", then="know_what_it_was_made_of")) }}

with

session_days as (

    select * from {{ ref("int_session_days") }}
    {{ touched_only("user_period") }}
    where
        is_attributed
        and nano_credits > 0

),

price_segments as (

    select * from {{ ref("int_price_segments") }}
    {{ touched_only("user_period") }}

),

parts as (

    select
        session_days.session_id,
        session_days.usage_date,
        session_days.external_user_id,
        session_days.billing_period,
        price_segments.plan_id,
        price_segments.price_valid_from,
        session_days.nano_credits,
        {{ wide_sum("session_days.nano_credits") }} over (
            partition by
                session_days.external_user_id,
                session_days.billing_period,
                price_segments.plan_id,
                price_segments.price_valid_from
            order by session_days.part_start_at_utc, session_days.session_id
            rows between unbounded preceding and current row
        ) as to_nano
    from session_days
    inner join price_segments
        on
            session_days.external_user_id = price_segments.external_user_id
            and session_days.billing_period = price_segments.billing_period
            and session_days.usage_date >= price_segments.from_date
            and session_days.usage_date < price_segments.to_date

)

select
    parts.session_id,
    parts.usage_date,
    parts.external_user_id,
    parts.billing_period,
    parts.plan_id,
    parts.price_valid_from,
    parts.nano_credits,
    parts.to_nano - parts.nano_credits as from_nano,
    parts.to_nano
from parts
