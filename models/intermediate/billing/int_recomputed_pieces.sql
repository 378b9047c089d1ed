-- Purpose: which session's credits of which day each recomputed line holds (rule 29). Parts fill the allowance, then the
--          tiers, in their order; a part that crosses an edge is cut.
-- Grain: one row a recomputed line, session and UTC day (line_id, session_id, usage_date).
{{ config(**kept("user_period", touch="touch_what_moved", then="know_what_it_was_made_of")) }}

with

priced_parts as (

    select * from {{ ref("int_priced_parts") }}
    {{ touched_only("user_period") }}

),

lines as (

    select * from {{ ref("int_recomputed_lines") }}
    {{ touched_only("user_period") }}
    where to_nano > from_nano

)

select
    lines.line_id,
    lines.external_user_id,
    lines.billing_period,
    lines.currency,
    priced_parts.session_id,
    priced_parts.usage_date,
    (
        least(priced_parts.to_nano, lines.to_nano) - greatest(priced_parts.from_nano, lines.from_nano)
    )::{{ wide_integer() }} as nano_credits
from lines
inner join priced_parts
    on
        lines.external_user_id = priced_parts.external_user_id
        and lines.billing_period = priced_parts.billing_period
        and lines.plan_id = priced_parts.plan_id
        and lines.price_valid_from = priced_parts.price_valid_from
        and lines.from_nano < priced_parts.to_nano
        and lines.to_nano > priced_parts.from_nano
