-- Purpose: what each step comes to by user and billing period, to hold each against the one before (rule 32).
-- Grain: one row a step, user and billing period that it has (step, external_user_id, billing_period).
{{ config(**kept("user_period")) }}
{%- set steps = [
    ("raw", "int_independent_session_periods", wide_sum("nano_credits")),
    ("staging", "int_session_periods", wide_sum("nano_credits")),
    ("session_periods", "fct_session_period_credits", credits_to_nano("sum(credits)")),
    ("user_days", "fct_user_day_credits", credits_to_nano("sum(credits)")),
] %}

{% for step, model_name, nano_credits in steps %}
select
    '{{ step }}' as step,
    external_user_id,
    billing_period,
    {{ nano_credits }} as nano_credits
from {{ ref(model_name) }}
{{ touched_only("user_period") }}
group by external_user_id, billing_period
{{ "union all" if not loop.last }}
{% endfor %}
