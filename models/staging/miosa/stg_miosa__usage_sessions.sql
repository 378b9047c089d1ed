-- Purpose: the current version of each usage session, typed. A session that cannot be billed has the reason.
-- Grain: one row per session id (row_key, has_session_id). A row without a usable id has a key of its own.
-- Every current row of raw is here: billable ones, rejected ones (rejection_reason) and voids (is_void).
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["row_hash"],
    meta={"changes": "stg_miosa__changed_sessions", "changed_keys": ["row_hash", "load_id"]},
) }}
{%- set versions = changed_rows(source("miosa", "usage_sessions"), ref("stg_miosa__changed_sessions"), ["load_id", "row_number"]) ~ " as versions" %}

with

repeated as (

    select versions.row_hash
    from {{ versions }}
    group by versions.row_hash
    having count(*) > 1

),

superseded as (

    -- Few rows have several versions. Only those are sorted, and a number identifies the ones to leave out.
    select
        versions.load_id,
        versions.row_number
    from {{ versions }}
    {{ semi_join() }} repeated on versions.row_hash = repeated.row_hash
    qualify
        row_number() over (
            partition by versions.row_hash, versions.row_key, versions.has_id
            order by versions.load_id desc, versions.row_number desc
        ) > 1

),

current_versions as (

    select
        versions.load_id,
        versions.row_number,
        versions.row_hash,
        versions.row_key,
        versions.has_id,
        versions.is_void,
        versions.payload,
        {{ json_fields(
            "coalesce(versions.payload_normalized, versions.payload)",
            texts=["started_at", "ended_at", "duration_sec", "credit_cost", "credits_used"],
            values=[
                "computer_id", "external_user_id", "external_workspace_id", "external_project_id", "workspace_id",
                "project_id",
            ],
        ) }} as fields
    from {{ versions }}
    {{ anti_join() }} superseded
        on
            versions.load_id = superseded.load_id
            and versions.row_number = superseded.row_number

),

typed as (

    select
        loads.started_at_utc as asked_at_utc,
        current_versions.load_id,
        current_versions.row_number,
        current_versions.row_hash,
        current_versions.row_key,
        current_versions.has_id,
        current_versions.is_void,
        current_versions.payload,
        current_versions.fields.started_at as started_at_text,
        current_versions.fields.ended_at as ended_at_text,
        current_versions.fields.duration_sec as duration_text,
        current_versions.fields.credit_cost as credit_cost_text,
        current_versions.fields.credits_used as credits_used_text,
        {{ json_id("current_versions.fields.computer_id") }} as sandbox_id,
        {{ json_id("current_versions.fields.external_user_id") }} as external_user_id,
        {{ json_id("current_versions.fields.external_workspace_id") }} as external_workspace_id,
        {{ json_id("current_versions.fields.external_project_id") }} as external_project_id,
        {{ json_id("current_versions.fields.workspace_id") }} as workspace_id,
        {{ json_id("current_versions.fields.project_id") }} as project_id,
        {{ parse_utc("current_versions.fields.started_at") }} as started_at_utc,
        {{ parse_utc("current_versions.fields.ended_at") }} as ended_at_utc,
        {{ scaled_integer("current_versions.fields.duration_sec", 0, var("max_duration_digits")) }} as duration_seconds,
        {{ rounded_integer("current_versions.fields.credit_cost", 9, 9) }} as credit_cost_nano,
        {{ rounded_integer("current_versions.fields.credits_used", 9, 9) }} as credits_used_nano,
        {{ has_more_decimals("current_versions.fields.credit_cost", 9, 9) }} as is_credit_cost_rounded,
        {{ has_more_decimals("current_versions.fields.credits_used", 9, 9) }} as is_credits_used_rounded
    from current_versions
    left join {{ source("miosa", "loads") }} as loads on current_versions.load_id = loads.load_id

)

select
    typed.load_id,
    typed.row_number,
    typed.row_hash,
    typed.row_key,
    typed.is_void,
    typed.sandbox_id,
    typed.external_user_id,
    typed.external_workspace_id,
    typed.external_project_id,
    typed.workspace_id,
    typed.project_id,
    typed.started_at_utc,
    typed.ended_at_utc,
    typed.has_id as has_session_id,
    case when typed.has_id then typed.row_key end as session_id,
    typed.ended_at_text is null as is_running,
    typed.duration_seconds::bigint as duration_seconds,
    case
        when typed.credit_cost_text is null and typed.credits_used_text is null and typed.ended_at_text is null
            then 0
        else coalesce(typed.credit_cost_nano, typed.credits_used_nano)
    end::bigint as cost_nano_credits,
    typed.is_credit_cost_rounded or typed.is_credits_used_rounded as is_cost_rounded,
    -- The first reason that applies, in this order; a row is reported with one reason.
    case
        when typed.is_void then null
        when not typed.has_id then 'missing_id'
        when typed.external_user_id = '{{ unattributed() }}' then 'reserved_user_id'
        when typed.started_at_text is null then 'missing_start'
        when typed.started_at_utc is null then 'unreadable_start'
        when typed.started_at_utc < {{ earliest_session_start() }} then 'start_too_early'
        when typed.started_at_utc > typed.asked_at_utc + interval 1 day then 'start_in_future'
        when typed.ended_at_text is not null and typed.ended_at_utc is null then 'unreadable_end'
        when typed.ended_at_utc < typed.started_at_utc then 'end_before_start'
        when typed.ended_at_utc > typed.asked_at_utc + interval 1 day then 'end_in_future'
        when typed.duration_text is not null and coalesce(typed.duration_seconds, -1) < 0 then 'bad_duration'
        when
            typed.ended_at_text is null
            and {{ add_seconds("typed.started_at_utc", "typed.duration_seconds") }}
            > typed.asked_at_utc + interval 1 day
            then 'end_in_future'
        when typed.credit_cost_text is null and typed.credits_used_text is null and typed.ended_at_text is not null
            then 'missing_cost'
        else coalesce(
            {{ credit_amount_error("typed.credit_cost_text", "typed.credit_cost_nano") }},
            {{ credit_amount_error("typed.credits_used_text", "typed.credits_used_nano") }},
            -- Compared as written (rule 7): 0.1 and 0.10000000001 differ, although both round to the same nano-credits.
            case
                when typed.credit_cost_nano <> typed.credits_used_nano then 'cost_fields_differ'
                when
                    (typed.is_credit_cost_rounded or typed.is_credits_used_rounded)
                    and {{ numbers_differ("typed.credit_cost_text", "typed.credits_used_text") }}
                    then 'cost_fields_differ'
            end
        )
    end as rejection_reason,
    case when rejection_reason is not null then typed.payload end as rejected_payload,
    case
        when is_cost_rounded and rejection_reason is null and not typed.is_void
            then coalesce(typed.credit_cost_text, typed.credits_used_text)
    end as rounded_cost_text
from typed
