-- Purpose: the user periods that rpt_credits_by_pipeline_step compares again: those with changed usage, and those in which
--          the independent recount counts a changed session.
-- Grain: one row per user, billing period and cause (external_user_id, billing_period, cause). Empty in a full build.
{{ config(tags=["changes"]) }}
{%- set changed_before = ref("int_user_periods_changed_by_usage") %}
{%- set recount = ref("int_independent_session_periods") %}
{%- set changed_sessions = ref("int_changed_sessions") %}
{%- set unfinished = is_unfinished() %}

{% if is_partial_build() %}
with

recounted as (

    select * from {{ recount }}
    {{ semi_join_changes(changed_sessions, ["row_hash", "load_id"]) }}

)

{{ with_changed_user_periods(changed_before, "recounted", "recount", unfinished) }}
{% else %}
{{ no_changed_user_periods() }}
{% endif %}
