-- Rules 13 and 14: what the facts say besides credits by period (seconds, counts, provisional credits, credits by day) is what
-- their parts sum to, for each user.
with

session_days as (

    select * from {{ touched_part(ref("int_session_days"), "user_period") }}

),

session_periods as (

    select
        session_id,
        billing_period,
        any_value(external_user_id) as external_user_id,
        any_value(sandbox_id) as sandbox_id,
        bool_or(is_provisional) as is_provisional,
        sum(usage_seconds) as usage_seconds,
        sum(nano_credits) as nano_credits
    from session_days
    group by session_id, billing_period

),

user_days as (

    select
        external_user_id,
        usage_date,
        count(distinct session_id) as session_count,
        sum(usage_seconds) as usage_seconds,
        sum(nano_credits) as nano_credits
    from session_days
    group by external_user_id, usage_date

),

user_periods as (

    select
        external_user_id,
        billing_period,
        count(*) as session_count,
        count(distinct sandbox_id) as sandbox_count,
        sum(usage_seconds) as usage_seconds,
        sum(nano_credits) as nano_credits,
        coalesce(sum(nano_credits) filter (where is_provisional), 0) as provisional_nano_credits
    from session_periods
    group by external_user_id, billing_period

)

select
    'fct_user_day_credits' as fact,
    coalesce(parts.external_user_id, facts.external_user_id) as external_user_id,
    coalesce(parts.usage_date, facts.usage_date)::string as place
from user_days as parts
full outer join {{ touched_part(ref("fct_user_day_credits")) }} as facts
    on
        parts.external_user_id = facts.external_user_id
        and parts.usage_date = facts.usage_date
where
    parts.session_count is distinct from facts.session_count
    or parts.usage_seconds is distinct from facts.usage_seconds
    or parts.nano_credits is distinct from {{ credits_to_nano("facts.credits") }}
union all
select
    'fct_user_period_credits' as fact,
    coalesce(parts.external_user_id, facts.external_user_id) as external_user_id,
    coalesce(parts.billing_period, facts.billing_period) as place
from user_periods as parts
full outer join {{ touched_part(ref("fct_user_period_credits")) }} as facts
    on
        parts.external_user_id = facts.external_user_id
        and parts.billing_period = facts.billing_period
where
    parts.session_count is distinct from facts.session_count
    or parts.sandbox_count is distinct from facts.sandbox_count
    or parts.usage_seconds is distinct from facts.usage_seconds
    or parts.nano_credits is distinct from {{ credits_to_nano("facts.credits") }}
    or parts.provisional_nano_credits is distinct from {{ credits_to_nano("facts.provisional_credits") }}
union all
select
    'fct_session_period_credits' as fact,
    coalesce(parts.external_user_id, facts.external_user_id) as external_user_id,
    coalesce(parts.session_id, facts.session_id) as place
from session_periods as parts
full outer join {{ touched_part(ref("fct_session_period_credits")) }} as facts
    on
        parts.session_id = facts.session_id
        and parts.billing_period = facts.billing_period
where
    parts.external_user_id is distinct from facts.external_user_id
    or parts.is_provisional is distinct from facts.is_provisional
    or parts.usage_seconds is distinct from facts.usage_seconds
    or parts.nano_credits is distinct from {{ credits_to_nano("facts.credits") }}
