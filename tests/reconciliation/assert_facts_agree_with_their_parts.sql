-- Rules 13 and 14: for each user, the figures of the facts (seconds, counts, provisional credits, credits by day) are the sums of
-- the session parts. The mart of session periods has each session's own figures: this compares sums in which each session has
-- its own weight.
with

session_days as (

    select * from {{ changed_part(ref("int_session_days"), ["external_user_id", "billing_period"], "int_user_periods_changed_by_usage") }}

),

session_periods as (

    select * from {{ changed_part(ref("int_session_periods"), ["external_user_id", "billing_period"], "int_user_periods_changed_by_usage") }}

),

sandboxes as (

    select * from {{ changed_part(ref("int_sandbox_periods")) }}

),

user_days as (

    -- A session has one part per day, which is the key of int_session_days.
    select
        external_user_id,
        usage_date,
        count(*) as session_count,
        sum(usage_seconds) as usage_seconds,
        sum(nano_credits) as nano_credits
    from session_days
    group by external_user_id, usage_date

),

sandbox_counts as (

    select
        external_user_id,
        billing_period,
        count(*) as sandbox_count
    from sandboxes
    group by external_user_id, billing_period

),

sums as (

    select
        external_user_id,
        billing_period,
        count(*) as session_count,
        sum(usage_seconds) as usage_seconds,
        sum(nano_credits) as nano_credits,
        coalesce(sum(nano_credits) filter (where is_provisional), 0) as provisional_nano_credits,
        {{ wide_sum("usage_seconds * " ~ text_weight("session_id")) }} as weighted_seconds,
        sum(nano_credits::{{ wide_integer() }} * {{ text_weight("session_id") }}) as weighted_nano_credits
    from session_periods
    group by external_user_id, billing_period

),

shown_periods as (

    select
        external_user_id,
        billing_period,
        {{ wide_sum("usage_seconds * " ~ text_weight("session_id")) }} as weighted_seconds,
        {{ credits_to_nano("sum(credits * " ~ text_weight("session_id") ~ "::decimal(9, 0))") }} as weighted_nano_credits,
        coalesce({{ credits_to_nano("sum(credits) filter (where is_provisional)") }}, 0) as provisional_nano_credits
    from {{ changed_part(ref("fct_session_period_credits")) }}
    group by external_user_id, billing_period

),

user_periods as (

    select
        sums.*,
        coalesce(sandbox_counts.sandbox_count, 0) as sandbox_count
    from sums
    left join sandbox_counts
        on
            sums.external_user_id = sandbox_counts.external_user_id
            and sums.billing_period = sandbox_counts.billing_period

)

select
    'fct_user_day_credits' as fact,
    coalesce(parts.external_user_id, facts.external_user_id) as external_user_id,
    coalesce(parts.usage_date, facts.usage_date)::string as place
from user_days as parts
full outer join {{ changed_part(ref("fct_user_day_credits")) }} as facts
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
full outer join {{ changed_part(ref("fct_user_period_credits")) }} as facts
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
    coalesce(parts.billing_period, facts.billing_period) as place
from sums as parts
full outer join shown_periods as facts
    on
        parts.external_user_id = facts.external_user_id
        and parts.billing_period = facts.billing_period
where
    parts.weighted_seconds is distinct from facts.weighted_seconds
    or parts.weighted_nano_credits is distinct from facts.weighted_nano_credits
    or parts.provisional_nano_credits is distinct from facts.provisional_nano_credits
