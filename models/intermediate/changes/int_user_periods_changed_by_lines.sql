-- Purpose: the user periods with changed usage, changed prices or changed rated lines.
-- Grain: one row per user, billing period and cause (external_user_id, billing_period, cause). Empty in a full build.
{{ config(tags=["changes"]) }}
{%- set changed_before = ref("int_user_periods_changed_by_prices") %}
{%- set today = ref("int_rated_lines") %}
{%- set before = source("previous_intermediate", "int_rated_lines_snapshot") %}
{%- set columns = [
    "external_user_id", "billing_period", "line_id", "start_nano", "end_nano", "amount_minor", "currency_exponent", "service_day_mask",
] %}
{%- set unfinished = is_unfinished() %}

{% if is_partial_build() %}
with

{{ rows_that_differ(today, before, columns) }}

{{ with_changed_user_periods(changed_before, "different", "lines", unfinished) }}
{% else %}
{{ no_changed_user_periods() }}
{% endif %}
