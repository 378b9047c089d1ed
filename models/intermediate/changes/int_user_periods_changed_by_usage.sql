-- Purpose: the user periods in which a changed session has a part now, or had one before.
-- Grain: one row per user, billing period and cause (external_user_id, billing_period, cause). Empty in a full build.
-- The tables of previous_intermediate depend on this model, so that it reads them before this build changes them.
{{ config(tags=["changes"]) }}
{%- set changed_sessions = ref("int_changed_sessions") %}
{%- set sessions = ref("int_sessions") %}
{%- set previous_parts = [
    source("previous_intermediate", "int_session_periods"),
    source("previous_intermediate", "int_independent_session_periods"),
] %}
{%- set unfinished = is_unfinished() %}

{% if is_partial_build() %}
with

changed as (

    select * from {{ sessions }}
    {{ semi_join_changes(changed_sessions, ["row_hash", "load_id"]) }}

),

months as (

    select
        changed.external_user_id,
        {{ each_step(
            "date_trunc('month', changed.started_at_utc)",
            last_day_of_span("changed.started_at_utc", "changed.end_at_utc") ~ "::timestamp",
            "1 month",
        ) }} as month_start_at_utc
    from changed

)

select
    months.external_user_id,
    {{ billing_period("months.month_start_at_utc") }} as billing_period,
    'usage' as cause,
    '{{ invocation_id }}' as invocation_id
from months
{% for parts in previous_parts %}
union
select
    parts.external_user_id,
    parts.billing_period,
    'usage' as cause,
    '{{ invocation_id }}' as invocation_id
from {{ parts }} as parts
where parts.row_hash in (select sessions.row_hash from {{ changed_sessions }} as sessions)
{% endfor %}
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
