-- Rule 29: over closed and open lines, the line usage of each attributed session's day sums to its credits today, for the user to
-- whom it belongs today. Credits that a line once billed to another user have been credited back.
-- Compared by user and period. Each session's day has its own weight, so that credits cannot move between days unnoticed.
{%- set lines = changed_part(ref("fct_invoice_lines"), ["external_user_id", "service_period"], "int_user_periods_changed_by_lines") %}
{%- set line_usage = ref("fct_invoice_line_usage") %}
with

periods as (

    select * from {{ ref("int_billing_periods") }}

),

weighted_usage as (

    select
        all_usage.line_id,
        {{ text_weight("all_usage.session_id") }} * extract(day from all_usage.usage_date) as weight,
        {{ credits_to_nano("all_usage.credits") }} as nano_credits
    -- A partial build reads only the usage of these lines. Without the semi join, DuckDB sums all line usage before it joins lines.
    from {{ "(from " ~ line_usage ~ " semi join " ~ lines ~ " using (line_id))" if tests_changed_only() else line_usage }} as all_usage

),

line_sums as (

    -- Summed by line first, so that the join with lines reads one row per line, not millions of usage rows.
    select
        line_id,
        sum(nano_credits) as nano_credits,
        sum(nano_credits * weight) as weighted_nano_credits
    from weighted_usage
    group by line_id

),

line_usage as (

    select
        lines.external_user_id,
        lines.service_period as billing_period,
        sum(line_sums.nano_credits) as nano_credits,
        sum(line_sums.weighted_nano_credits) as weighted_nano_credits
    from line_sums
    inner join {{ lines }} as lines on line_sums.line_id = lines.line_id
    group by lines.external_user_id, lines.service_period

),

weighted_days as (

    select
        all_days.external_user_id,
        all_days.billing_period,
        {{ text_weight("all_days.session_id") }} * extract(day from all_days.usage_date) as weight,
        all_days.nano_credits::{{ wide_integer() }} as nano_credits
    from {{ changed_part(
        ref("int_session_days"), ["external_user_id", "billing_period"], "int_user_periods_changed_by_lines",
    ) }} as all_days
    inner join periods on all_days.billing_period = periods.billing_period
    where all_days.is_attributed

),

session_days as (

    select
        external_user_id,
        billing_period,
        sum(nano_credits) as nano_credits,
        sum(nano_credits * weight) as weighted_nano_credits
    from weighted_days
    group by external_user_id, billing_period

)

select
    external_user_id,
    billing_period,
    line_usage.nano_credits as usage_nano_credits,
    session_days.nano_credits as session_day_nano_credits
from line_usage
full outer join session_days using (external_user_id, billing_period)
where
    coalesce(line_usage.nano_credits, 0) <> coalesce(session_days.nano_credits, 0)
    or coalesce(line_usage.weighted_nano_credits, 0) <> coalesce(session_days.weighted_nano_credits, 0)
