-- Purpose: the user periods with changed usage, or with a different plan or price list on some day.
-- Grain: one row per user, billing period and cause (external_user_id, billing_period, cause). Empty in a full build.
{{ config(tags=["changes"]) }}
{%- set changed_before = ref("int_user_periods_changed_by_usage") %}
{%- set today = ref("int_price_segments") %}
{%- set before = source("previous_intermediate", "int_price_segments_snapshot") %}
{%- set columns = ["external_user_id", "billing_period", "from_date", "to_date", "plan_id", "price_valid_from"] %}
{%- set unfinished = is_unfinished() %}

{% if is_partial_build() %}
with

{{ rows_that_differ(today, before, columns) }}

{{ with_changed_user_periods(changed_before, "different", "prices", unfinished) }}
{% else %}
{{ no_changed_user_periods() }}
{% endif %}
