-- Rules 13 and 14: what the facts say besides credits by period (seconds, counts, provisional credits, credits by day) is what
-- their parts sum to, for each user.
with

session_days as (

    select * from {{ ref("int_session_days") }}

),

session_periods as (

    select
        session_id,
        external_user_id,
        billing_period,
        sandbox_id,
        is_provisional,
        sum(usage_seconds) as usage_seconds,
        sum(nano_credits) as nano_credits
    from session_days
    group by all

),

expected as (

    select
        'fct_user_day_credits' as fact,
        external_user_id,
        usage_date::varchar as place,
        count(distinct session_id) as session_count,
        0 as sandbox_count,
        sum(usage_seconds) as usage_seconds,
        sum(nano_credits) as nano_credits,
        0 as provisional_nano_credits
    from session_days
    group by all
    union all
    select
        'fct_user_period_credits' as fact,
        external_user_id,
        billing_period as place,
        count(distinct session_id) as session_count,
        count(distinct sandbox_id) as sandbox_count,
        sum(usage_seconds) as usage_seconds,
        sum(nano_credits) as nano_credits,
        sum(case when is_provisional then nano_credits else 0 end) as provisional_nano_credits
    from session_periods
    group by all
    union all
    select
        'fct_session_period_credits' as fact,
        external_user_id,
        billing_period || ' ' || session_id as place,
        1 as session_count,
        0 as sandbox_count,
        usage_seconds,
        nano_credits,
        case when is_provisional then nano_credits else 0 end as provisional_nano_credits
    from session_periods

),

actual as (

    select
        'fct_user_day_credits' as fact,
        external_user_id,
        usage_date::varchar as place,
        session_count,
        0 as sandbox_count,
        usage_seconds,
        {{ credits_to_nano("credits") }} as nano_credits,
        0 as provisional_nano_credits
    from {{ ref("fct_user_day_credits") }}
    union all
    select
        'fct_user_period_credits' as fact,
        external_user_id,
        billing_period as place,
        session_count,
        sandbox_count,
        usage_seconds,
        {{ credits_to_nano("credits") }} as nano_credits,
        {{ credits_to_nano("provisional_credits") }} as provisional_nano_credits
    from {{ ref("fct_user_period_credits") }}
    union all
    select
        'fct_session_period_credits' as fact,
        external_user_id,
        billing_period || ' ' || session_id as place,
        1 as session_count,
        0 as sandbox_count,
        usage_seconds,
        {{ credits_to_nano("credits") }} as nano_credits,
        case when is_provisional then {{ credits_to_nano("credits") }} else 0 end as provisional_nano_credits
    from {{ ref("fct_session_period_credits") }}

)

select
    coalesce(expected.fact, actual.fact) as fact,
    coalesce(expected.external_user_id, actual.external_user_id) as external_user_id,
    coalesce(expected.place, actual.place) as place
from expected
full outer join actual
    on
        expected.fact = actual.fact
        and expected.external_user_id = actual.external_user_id
        and expected.place = actual.place
where
    expected.session_count is distinct from actual.session_count
    or expected.sandbox_count is distinct from actual.sandbox_count
    or expected.usage_seconds is distinct from actual.usage_seconds
    or expected.nano_credits is distinct from actual.nano_credits
    or expected.provisional_nano_credits is distinct from actual.provisional_nano_credits
