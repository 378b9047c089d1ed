-- Purpose: the current version of each booking on the platform's own account at the vendor, typed. One that cannot be used has the reason.
-- Grain: one row per transaction id (row_key, has_id). A row without a usable id has a key of its own.
{%- set unreadable_from = "timestamp '2100-01-01 00:00:00'" %}

with

versions as (

    select * from {{ source("miosa", "credit_transactions") }}

),

current_versions as (

    select
        versions.load_id,
        versions.row_number,
        versions.row_key,
        versions.has_id,
        versions.payload,
        {{ json_fields(
            "coalesce(versions.payload_normalized, versions.payload)",
            texts=["type", "amount_credits", "amount", "inserted_at", "created_at", "description", "provider", "model"],
            values=["computer_id"],
        ) }} as fields
    from versions
    qualify
        row_number() over (
            partition by versions.row_hash, versions.row_key, versions.has_id
            order by versions.load_id desc, versions.row_number desc
        ) = 1

),

typed as (

    select
        current_versions.load_id,
        current_versions.row_number,
        current_versions.row_key,
        current_versions.has_id,
        current_versions.payload,
        current_versions.fields.type as transaction_type,
        current_versions.fields.description,
        current_versions.fields.provider,
        current_versions.fields.model,
        {{ json_id("current_versions.fields.computer_id") }} as sandbox_id,
        -- The documentation has `amount_credits` and `inserted_at`, other clients read `amount` and `created_at`.
        {{ vendor_figure("current_versions.fields.amount_credits") }} as amount_credits,
        {{ vendor_figure("current_versions.fields.amount") }} as amount,
        {{ parse_utc("coalesce(current_versions.fields.inserted_at, current_versions.fields.created_at)") }} as booked_at_utc
    from current_versions

)

select
    typed.load_id,
    typed.row_number,
    typed.row_key,
    typed.has_id,
    typed.transaction_type,
    typed.description,
    typed.provider,
    typed.model,
    typed.sandbox_id,
    typed.booked_at_utc,
    coalesce(typed.amount_credits, typed.amount) as credits,
    case when typed.has_id then typed.row_key end as transaction_id,
    case
        when not typed.has_id then 'missing_id'
        when coalesce(abs(coalesce(typed.amount_credits, typed.amount)) >= {{ largest_vendor_figure() }}, true) then 'bad_credits'
        when typed.amount_credits <> typed.amount then 'cost_fields_differ'
        -- A far year would be a row for each day until then in rpt_vendor_balance.
        when coalesce(typed.booked_at_utc < {{ earliest_session_start() }} or typed.booked_at_utc >= {{ unreadable_from }}, true)
            then 'bad_time'
    end as rejection_reason,
    case when rejection_reason is not null then typed.payload end as rejected_payload
from typed
