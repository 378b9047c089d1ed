-- Purpose: the current version of each invoice that the vendor sends to the platform, typed. One that cannot be used has the reason.
-- Grain: one row per invoice id (row_key, has_id). A row without a usable id has a key of its own.

with

versions as (

    select * from {{ source("miosa", "billing_invoices") }}

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
            texts=["number", "status", "amount_due", "amount_paid", "currency", "period_start", "period_end", "due_date"],
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
        current_versions.fields.number as invoice_number,
        lower(current_versions.fields.status) as invoice_status,
        upper(current_versions.fields.currency) as currency,
        {{ vendor_figure("current_versions.fields.amount_due") }} as due_credits,
        {{ vendor_figure("current_versions.fields.amount_paid") }} as paid_credits,
        {{ parse_utc("current_versions.fields.period_start") }} as period_start_at_utc,
        {{ parse_utc("current_versions.fields.period_end") }} as period_end_at_utc,
        {{ parse_utc("current_versions.fields.due_date") }} as due_at_utc
    from current_versions

)

select
    typed.load_id,
    typed.row_number,
    typed.row_key,
    typed.has_id,
    typed.invoice_number,
    typed.invoice_status,
    typed.currency,
    typed.due_credits,
    typed.paid_credits,
    typed.period_start_at_utc,
    typed.period_end_at_utc,
    typed.due_at_utc,
    case when typed.has_id then typed.row_key end as invoice_id,
    case
        when not typed.has_id then 'missing_id'
        when coalesce(abs(typed.due_credits) >= {{ largest_vendor_figure() }}, true) then 'bad_credits'
    end as rejection_reason,
    case when rejection_reason is not null then typed.payload end as rejected_payload
from typed
