-- Purpose: the user periods with changed usage or changed limits.
-- Grain: one row per user, billing period and cause (external_user_id, billing_period, cause). Empty in a full build.
{{ config(tags=["changes"]) }}
{%- set changed_before = ref("int_user_periods_changed_by_usage") %}
{%- set today = ref("int_quota_usage") %}
{%- set before = source("previous_intermediate", "int_quota_usage_snapshot") %}
{%- set limits = "(select * from " ~ today ~ " where limit_value is not null and quota in ('credits', 'concurrent'))" %}
{%- set columns = ["external_user_id", "billing_period", "quota", "limit_value"] %}
{%- set unfinished = is_unfinished() %}

{% if is_partial_build() %}
with

{{ rows_that_differ(limits, before, columns) }}

{{ with_changed_user_periods(changed_before, "different", "limits", unfinished) }}
{% else %}
{{ no_changed_user_periods() }}
{% endif %}
