-- Purpose: the change of each session's day in a closed period since its close (rules 26 and 29): today's credits less all
--          credits in the ledger.
-- Grain: one row per user, service period, currency, session and UTC day that differs
--        (external_user_id, service_period, currency, session_id, usage_date).
-- Sandbox, project and workspace are today's; if the user no longer has the session on that day, they are those of its newest
-- closed line.
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "service_period"],
    meta={"changes": "int_user_periods_changed_by_lines"},
) }}
{%- set owner_columns = ["sandbox_id", "external_project_id", "workspace_id"] %}

with

periods as (

    select * from {{ ref("int_billing_periods") }}
    where is_closed

),

rated_line_usage as (

    select * from {{ ref("int_rated_line_usage") }}
    {{ only_changed(ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"]) }}

),

closed_lines as (

    select * from {{ ref("stg_ledger__closed_invoice_lines") }}
    {{ only_changed(ref("int_user_periods_changed_by_lines"), ["external_user_id", "service_period"]) }}

),

closed_usage as (

    select * from {{ ref("stg_ledger__closed_line_usage") }}

),

line_usage as (

    select
        rated_line_usage.external_user_id,
        rated_line_usage.billing_period as service_period,
        rated_line_usage.currency,
        rated_line_usage.session_id,
        rated_line_usage.usage_date,
        rated_line_usage.nano_credits,
        0::{{ wide_integer() }} as billed_nano_credits,
        rated_line_usage.usage_seconds,
        {%- for column in owner_columns %}
        rated_line_usage.{{ column }},
        {%- endfor %}
        -- Sorts after every period.
        'today' as known_from
    from rated_line_usage
    inner join periods on rated_line_usage.billing_period = periods.billing_period
    union all
    select
        closed_lines.external_user_id,
        closed_lines.service_period,
        closed_lines.currency,
        closed_usage.session_id,
        closed_usage.usage_date,
        -{{ credits_to_nano("closed_usage.credits") }} as nano_credits,
        {{ credits_to_nano("closed_usage.credits") }} as billed_nano_credits,
        -closed_usage.usage_seconds as usage_seconds,
        {%- for column in owner_columns %}
        closed_usage.{{ column }},
        {%- endfor %}
        closed_lines.invoice_period as known_from
    from closed_usage
    inner join closed_lines on closed_usage.line_id = closed_lines.line_id

)

select
    line_usage.external_user_id,
    line_usage.service_period,
    line_usage.currency,
    line_usage.session_id,
    line_usage.usage_date,
    {%- for column in owner_columns %}
    {{ value_at_highest("line_usage." ~ column, "line_usage.known_from") }} as {{ column }},
    {%- endfor %}
    -- Unknown if a period was closed before the ledger had seconds.
    case when count(*) = count(line_usage.usage_seconds) then sum(line_usage.usage_seconds)::bigint end as usage_seconds,
    sum(line_usage.nano_credits)::{{ wide_integer() }} as nano_credits,
    sum(line_usage.billed_nano_credits)::{{ wide_integer() }} as billed_nano_credits
from line_usage
group by
    line_usage.external_user_id,
    line_usage.service_period,
    line_usage.currency,
    line_usage.session_id,
    line_usage.usage_date
having sum(line_usage.nano_credits) <> 0
