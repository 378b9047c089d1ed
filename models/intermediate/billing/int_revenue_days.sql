-- Purpose: the revenue of each day (rule 40): usage on its day; fees, minimums and adjustments without usage spread over their days.
-- Grain: one row per line type, user, plan, currency, project, UTC day and invoice period
--        (line_type, external_user_id, plan_id, currency, external_project_id, service_date, recognized_in).
-- Spread amounts are worked out on reading, because they have a row for each user and day.
{{ config(
    materialized=long_view(),
    meta={"changes": "int_user_periods_changed_by_lines", "changed_keys": ["external_user_id", "service_period"]},
) }}
{%- set columns = [
    "line_type", "external_user_id", "plan_id", "currency", "service_period", "recognized_in", "status",
] %}

with

lines_without_usage as (

    select * from {{ ref("int_invoice_breakdown") }}
    where not has_usage

),

usage_days as (

    select * from {{ ref("int_revenue_usage_days") }}

),

newest_load as (

    select max(started_at_utc)::date as read_on from {{ ref("stg_miosa__loads") }}
    where resource = 'usage_sessions'

),

day_numbers as (

    select {{ each_of(range(1, 32)) }} as day_number

),

month_days as (

    select
        day_number,
        {{ power_of_two("day_number - 1") }} as day_bit
    from day_numbers

),

lines_with_days as (

    -- A line without a mask adjusts prices, or was closed before the ledger kept days. Then all days of its period count.
    select
        lines_without_usage.*,
        lines_without_usage.invoice_period as recognized_in,
        {{ period_start("lines_without_usage.service_period") }}::date as period_start,
        coalesce(lines_without_usage.service_day_mask, {{ day_mask(
            period_start("lines_without_usage.service_period") ~ "::date",
            "(" ~ period_start("lines_without_usage.service_period") ~ " + interval 1 month)::date",
        ) }}) as day_mask
    from lines_without_usage

),

amounts as (

    -- One row per plan and set of days, as lines closed before the ledger kept days may share theirs.
    select
        {%- for column in columns %}
        lines_with_days.{{ column }},
        {%- endfor %}
        lines_with_days.period_start,
        lines_with_days.day_mask,
        bit_count(lines_with_days.day_mask)::bigint as day_count,
        sum({{ minor_to_nano("lines_with_days.amount_minor", "lines_with_days.currency_exponent") }}) as nano_amount
    from lines_with_days
    group by
        {%- for column in columns %}
        lines_with_days.{{ column }},
        {%- endfor %}
        lines_with_days.period_start,
        lines_with_days.day_mask

),

spread as (

    -- How many of its days a line has before this one is the number of bits below the day's.
    select
        amounts.*,
        (amounts.period_start + month_days.day_number - 1)::date as service_date,
        bit_count(amounts.day_mask % month_days.day_bit)::bigint as earlier_day_count
    from amounts
    inner join month_days on {{ whole_quotient("amounts.day_mask", "month_days.day_bit") }} % 2 = 1

),

revenue as (

    select
        {%- for column in columns %}
        usage_days.{{ column }},
        {%- endfor %}
        usage_days.external_project_id,
        usage_days.service_date,
        usage_days.nano_credits,
        usage_days.nano_amount
    from usage_days
    union all
    select
        {%- for column in columns %}
        spread.{{ column }},
        {%- endfor %}
        null::string as external_project_id,
        spread.service_date,
        0::{{ wide_integer() }} as nano_credits,
        {{ share_of_money(
            "spread.nano_amount", "spread.earlier_day_count", "(spread.earlier_day_count + 1)", "spread.day_count",
        ) }} as nano_amount
    from spread

)

select
    {%- for column in columns %}
    revenue.{{ column }},
    {%- endfor %}
    revenue.external_project_id,
    revenue.service_date,
    coalesce(revenue.service_date <= newest_load.read_on, false) as is_elapsed,
    revenue.nano_credits,
    revenue.nano_amount
from revenue
cross join newest_load
