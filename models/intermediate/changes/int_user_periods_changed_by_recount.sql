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

select
    external_user_id,
    billing_period,
    cause,
    '{{ invocation_id }}' as invocation_id
from {{ changed_before }}
union
select
    recounted.external_user_id,
    recounted.billing_period,
    'recount' as cause,
    '{{ invocation_id }}' as invocation_id
from recounted
union
select
    earlier.external_user_id,
    earlier.billing_period,
    earlier.cause,
    '{{ invocation_id }}' as invocation_id
from {{ this }} as earlier
where earlier.{{ unfinished }}
{% else %}
{{ no_changed_user_periods() }}
{% endif %}
