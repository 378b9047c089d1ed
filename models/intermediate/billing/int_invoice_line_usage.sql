-- Purpose: the sessions and days whose credits each invoice line bills, each with its share of the line's amount (rules 29 and 39).
-- Grain: one row per invoice line, session and UTC day (line_id, session_id, usage_date).
{{ config(
    materialized=long_view(),
    meta={"changes": "int_user_periods_changed_by_lines", "changed_keys": ["line_id"], "changed_through": "int_rated_lines"},
) }}
{%- set session_columns = ["session_id", "usage_date", "sandbox_id", "external_project_id", "workspace_id", "usage_seconds"] %}
{%- set line_columns = [
    "line_id", "external_user_id", "currency", "status", "invoice_period", "service_period",
] + session_columns + ["nano_credits"] %}
{%- set change_columns = ["change_reason", "change_load_id", "change_read_at_utc"] %}

with

periods as (

    select * from {{ ref("int_billing_periods") }}
    where not is_closed

),

rated_line_usage as (

    select * from {{ ref("int_rated_line_usage") }}

),

adjustments as (

    select * from {{ ref("int_adjustments") }}

),

usage_changes as (

    select * from {{ ref("int_usage_changes") }}

),

closed_lines as (

    select * from {{ ref("stg_ledger__closed_invoice_lines") }}

),

closed_usage as (

    select * from {{ ref("stg_ledger__closed_line_usage") }}

),

unshared as (

    -- Open adjustments, and lines closed before the ledger had shares. Few rows, so they are shared here.
    select
        {{ invoice_line_id(
            "usage_changes.external_user_id", "periods.billing_period", "usage_changes.service_period", "'adjustment'",
            "usage_changes.currency", "null::string", "null::date", "null::decimal(18, 9)",
        ) }} as line_id,
        usage_changes.external_user_id,
        usage_changes.currency,
        'open' as status,
        periods.billing_period as invoice_period,
        usage_changes.service_period,
        {%- for column in session_columns %}
        usage_changes.{{ column }},
        {%- endfor %}
        usage_changes.nano_credits,
        {%- for column in change_columns %}
        usage_changes.{{ column }},
        {%- endfor %}
        {{ minor_to_nano("adjustments.amount_minor", "adjustments.currency_exponent") }} as line_nano_amount
    from usage_changes
    -- Left joins, so that usage whose line is lost does not vanish with it.
    left join adjustments
        on
            usage_changes.external_user_id = adjustments.external_user_id
            and usage_changes.service_period = adjustments.service_period
            and usage_changes.currency = adjustments.currency
    inner join periods on periods.is_first_open
    union all
    select
        closed_usage.line_id,
        closed_lines.external_user_id,
        closed_lines.currency,
        'closed' as status,
        closed_lines.invoice_period,
        closed_lines.service_period,
        {%- for column in session_columns %}
        closed_usage.{{ column }},
        {%- endfor %}
        {{ credits_to_nano("closed_usage.credits") }} as nano_credits,
        {%- for column in change_columns %}
        closed_usage.{{ column }},
        {%- endfor %}
        {{ credits_to_nano("closed_lines.amount") }} as line_nano_amount
    from closed_usage
    left join closed_lines on closed_usage.line_id = closed_lines.line_id
    where closed_usage.amount is null

),

line_sums as (

    select
        unshared.line_id,
        sum(unshared.nano_credits) as nano_credits,
        sum(abs(unshared.nano_credits)) as absolute_nano_credits
    from unshared
    group by unshared.line_id

),

weighted as (

    select
        unshared.*,
        {{ share_weight(
            "unshared.nano_credits", "abs(unshared.nano_credits)", "line_sums.nano_credits", "line_sums.absolute_nano_credits",
        ) }}::{{ wide_integer() }} as weight
    from unshared
    inner join line_sums on unshared.line_id = line_sums.line_id

),

running as (

    -- By day and session: the starts of parts that are gone, or were closed, are not known any more.
    select
        weighted.*,
        sum(weighted.weight) over (
            partition by weighted.line_id
            order by weighted.usage_date, weighted.session_id
            rows between unbounded preceding and current row
        ) as weight_to,
        sum(weighted.weight) over (partition by weighted.line_id) as total_weight
    from weighted

)

select
    rated_line_usage.line_id,
    rated_line_usage.external_user_id,
    rated_line_usage.currency,
    'open' as status,
    rated_line_usage.billing_period as invoice_period,
    rated_line_usage.billing_period as service_period,
    {%- for column in session_columns %}
    rated_line_usage.{{ column }},
    {%- endfor %}
    rated_line_usage.nano_credits,
    rated_line_usage.nano_amount,
    null::string as change_reason,
    null::bigint as change_load_id,
    null::timestamp as change_read_at_utc
from rated_line_usage
inner join periods on rated_line_usage.billing_period = periods.billing_period
union all
select
    {%- for column in line_columns %}
    running.{{ column }},
    {%- endfor %}
    {{ share_of_money(
        "running.line_nano_amount", "(running.weight_to - running.weight)", "running.weight_to", "running.total_weight",
    ) }} as nano_amount,
    {%- for column in change_columns %}
    running.{{ column }}{{ "," if not loop.last }}
    {%- endfor %}
from running
union all
select
    closed_usage.line_id,
    closed_lines.external_user_id,
    closed_lines.currency,
    'closed' as status,
    closed_lines.invoice_period,
    closed_lines.service_period,
    {%- for column in session_columns %}
    closed_usage.{{ column }},
    {%- endfor %}
    {{ credits_to_nano("closed_usage.credits") }} as nano_credits,
    {{ credits_to_nano("closed_usage.amount") }} as nano_amount,
    {%- for column in change_columns %}
    closed_usage.{{ column }}{{ "," if not loop.last }}
    {%- endfor %}
from closed_usage
left join closed_lines on closed_usage.line_id = closed_lines.line_id
where closed_usage.amount is not null
