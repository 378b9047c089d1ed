-- Purpose: by how much each session's day in a closed period has changed since it was closed (rules 26 and 29): today's
--          credits less all that stands in the ledger.
-- Grain: one row a user, service period, currency, session and UTC day that differs
--        (external_user_id, service_period, currency, session_id, usage_date).
{{ config(**kept("user_period", period_column="service_period")) }}

with

periods as (

    select * from {{ ref("int_billing_periods") }}
    where is_closed

),

recomputed_pieces as (

    select * from {{ ref("int_recomputed_pieces") }}
    {{ touched_only("user_period") }}

),

closed_lines as (

    select * from {{ source("ledger", "closed_invoice_lines") }}
    {{ touched_only("user_period", "service_period") }}

),

closed_pieces as (

    select * from {{ source("ledger", "closed_line_pieces") }}

),

pieces as (

    select
        recomputed_pieces.external_user_id,
        recomputed_pieces.billing_period as service_period,
        recomputed_pieces.currency,
        recomputed_pieces.session_id,
        recomputed_pieces.usage_date,
        recomputed_pieces.nano_credits
    from recomputed_pieces
    inner join periods on recomputed_pieces.billing_period = periods.billing_period
    union all
    select
        closed_lines.external_user_id,
        closed_lines.service_period,
        closed_lines.currency,
        closed_pieces.session_id,
        closed_pieces.usage_date,
        -{{ credits_to_nano("closed_pieces.credits") }} as nano_credits
    from closed_pieces
    inner join closed_lines on closed_pieces.line_id = closed_lines.line_id

)

select
    pieces.external_user_id,
    pieces.service_period,
    pieces.currency,
    pieces.session_id,
    pieces.usage_date,
    sum(pieces.nano_credits)::{{ wide_integer() }} as nano_credits
from pieces
group by
    pieces.external_user_id,
    pieces.service_period,
    pieces.currency,
    pieces.session_id,
    pieces.usage_date
having sum(pieces.nano_credits) <> 0
