-- Purpose: the sessions and days whose credits each rated line bills (rule 29), with their share of its amount (rule 39).
-- Grain: one row per rated line, session and UTC day (line_id, session_id, usage_date).
-- Parts of sessions fill the allowance first, then the tiers, in the order of their start. A part that crosses a boundary is
-- split. Many rating periods have a single line with credits, which takes all parts; if it has no amount to share either, its
-- parts need no order. The shares of closed periods are in the ledger, so they are not worked out here.
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_lines"},
) }}
{%- set rating_period = ["external_user_id", "billing_period", "plan_id", "price_valid_from"] %}
{%- set part_columns = ["session_id", "usage_date", "sandbox_id", "external_project_id", "workspace_id"] %}

with

periods as (

    select * from {{ ref("int_billing_periods") }}

),

rated_lines as (

    select * from {{ ref("int_rated_lines") }}
    {{ only_changed(ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"]) }}
    where end_nano > start_nano

),

lines as (

    select
        rated_lines.*,
        periods.is_closed,
        {{ minor_to_nano("rated_lines.amount_minor", "rated_lines.currency_exponent") }} as nano_amount,
        count(*) over (partition by rated_lines.{{ rating_period | join(", rated_lines.") }}) > 1
        or (rated_lines.amount_minor <> 0 and not periods.is_closed) as is_ordered
    from rated_lines
    inner join periods on rated_lines.billing_period = periods.billing_period

),

lines_in_order as (

    select * from lines
    where is_ordered

),

parts_in_order as (

    -- The nano-credits of a rating period are numbered from 0; end_nano is where a part's share of them ends.
    select
        session_days_with_plan.*,
        {{ wide_sum("session_days_with_plan.nano_credits") }} over (
            partition by session_days_with_plan.{{ rating_period | join(", session_days_with_plan.") }}
            order by session_days_with_plan.part_start_at_utc, session_days_with_plan.session_id
            rows between unbounded preceding and current row
        ) as end_nano
    from {{ changed_rows(
        ref("int_session_days_with_plan"), ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"],
    ) }} as session_days_with_plan
    {{ semi_join() }} lines_in_order
        on
            {%- for column in rating_period %}
            {{ "and " if not loop.first }}session_days_with_plan.{{ column }} = lines_in_order.{{ column }}
            {%- endfor %}

),

cut_parts as (

    -- What of a part is on a line: from_nano and to_nano are numbered as above.
    select
        lines.line_id,
        lines.external_user_id,
        lines.billing_period,
        lines.currency,
        lines.is_closed,
        lines.nano_amount,
        lines.start_nano,
        lines.end_nano,
        {%- for column in part_columns %}
        parts_in_order.{{ column }},
        {%- endfor %}
        parts_in_order.usage_seconds,
        parts_in_order.nano_credits as part_nano,
        parts_in_order.end_nano - parts_in_order.nano_credits as part_start_nano,
        greatest(parts_in_order.end_nano - parts_in_order.nano_credits, lines.start_nano) as from_nano,
        least(parts_in_order.end_nano, lines.end_nano) as to_nano
    from lines_in_order as lines
    inner join parts_in_order
        on
            {%- for column in rating_period %}
            {{ "and " if not loop.first }}lines.{{ column }} = parts_in_order.{{ column }}
            {%- endfor %}
            and lines.start_nano < parts_in_order.end_nano
            and lines.end_nano > parts_in_order.end_nano - parts_in_order.nano_credits

)

select
    lines.line_id,
    lines.external_user_id,
    lines.billing_period,
    lines.currency,
    {%- for column in part_columns %}
    parts.{{ column }},
    {%- endfor %}
    parts.usage_seconds::bigint as usage_seconds,
    parts.nano_credits::{{ wide_integer() }} as nano_credits,
    case when not lines.is_closed then 0 end::{{ wide_integer() }} as nano_amount
from {{ changed_rows(
    ref("int_session_days_with_plan"), ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"],
) }} as parts
inner join lines
    on
        {%- for column in rating_period %}
        {{ "and " if not loop.first }}parts.{{ column }} = lines.{{ column }}
        {%- endfor %}
where not lines.is_ordered
union all
select
    cut_parts.line_id,
    cut_parts.external_user_id,
    cut_parts.billing_period,
    cut_parts.currency,
    {%- for column in part_columns %}
    cut_parts.{{ column }},
    {%- endfor %}
    {{ prorated_share(
        "cut_parts.usage_seconds", "(cut_parts.from_nano - cut_parts.part_start_nano)",
        "(cut_parts.to_nano - cut_parts.part_start_nano)", "cut_parts.part_nano",
    ) }}::bigint as usage_seconds,
    (cut_parts.to_nano - cut_parts.from_nano)::{{ wide_integer() }} as nano_credits,
    case
        when not cut_parts.is_closed
            then {{ share_of_money(
                "cut_parts.nano_amount", "(cut_parts.from_nano - cut_parts.start_nano)", "(cut_parts.to_nano - cut_parts.start_nano)",
                "(cut_parts.end_nano - cut_parts.start_nano)",
            ) }}
    end as nano_amount
from cut_parts
