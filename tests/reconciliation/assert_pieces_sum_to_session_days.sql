-- Rule 29: over closed and open lines, the pieces of each attributed session's day sum to its credits today, under the user it
-- belongs to today; what a line held of it under another user, or under none, has been given back.
with

periods as (

    select * from {{ ref("int_billing_periods") }}

),

pieces as (

    select
        lines.external_user_id,
        all_pieces.session_id,
        all_pieces.usage_date,
        sum(all_pieces.credits) as credits
    from {{ ref("fct_invoice_line_pieces") }} as all_pieces
    inner join {{ touched_part(ref("fct_invoice_lines"), "user_period", "service_period") }} as lines on all_pieces.line_id = lines.line_id
    group by lines.external_user_id, all_pieces.session_id, all_pieces.usage_date

),

session_days as (

    select
        all_days.external_user_id,
        all_days.session_id,
        all_days.usage_date,
        {{ nano_to_credits("all_days.nano_credits") }} as credits
    from {{ touched_part(ref("int_session_days"), "user_period") }} as all_days
    inner join periods on all_days.billing_period = periods.billing_period
    where all_days.is_attributed

)

select
    external_user_id,
    session_id,
    usage_date,
    pieces.credits as piece_credits,
    session_days.credits as session_day_credits
from pieces
full outer join session_days using (external_user_id, session_id, usage_date)
where coalesce(pieces.credits, 0) <> coalesce(session_days.credits, 0)
