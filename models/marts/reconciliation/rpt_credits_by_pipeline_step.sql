-- Purpose: the credits of each step of the pipeline by user and billing period, to compare each step with the one before (rule 32).
-- Grain: one row per step, user and billing period with usage in that step (step, external_user_id, billing_period).
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_recount"},
) }}
{%- set steps = [
    ("raw", "int_independent_session_periods", nano_to_credits(wide_sum("nano_credits"))),
    ("staging", "int_session_periods", nano_to_credits(wide_sum("nano_credits"))),
    ("session_periods", "fct_session_period_credits", "sum(credits)::decimal(38, 9)"),
    ("user_days", "fct_user_day_credits", "sum(credits)::decimal(38, 9)"),
] %}

{% for step, model_name, credits in steps %}
select
    '{{ step }}' as step,
    external_user_id,
    billing_period,
    {{ period_start_date("billing_period") }} as period_start_date,
    {{ credits }} as credits
from {{ ref(model_name) }}
{{ only_changed(ref("int_user_periods_changed_by_recount"), ["external_user_id", "billing_period"]) }}
group by external_user_id, billing_period
{{ "union all" if not loop.last }}
{% endfor %}
