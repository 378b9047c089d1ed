-- Purpose: the vendor's answers about the platform's balance of credits, typed, in all versions.
-- Grain: one row per version (load_id, row_number).

with

versions as (

    select * from {{ source("miosa", "credit_balances") }}

),

wrapped as (

    select
        versions.load_id,
        versions.row_number,
        versions.row_key,
        versions.payload,
        coalesce(versions.payload_normalized, versions.payload) as body,
        {{ json_fields("coalesce(versions.payload_normalized, versions.payload)", documents=["data"]) }} as fields,
        row_number() over (order by versions.load_id desc, versions.row_number desc) = 1 as is_current
    from versions

),

answers as (

    -- The figures are at the top level or inside `data`.
    select
        wrapped.*,
        {{ json_fields(
            "coalesce(wrapped.fields.data::string, wrapped.body)",
            texts=["balance_credits", "lifetime_earned", "lifetime_spent", "credit_expiry_at", "updated_at"],
        ) }} as figures
    from wrapped

),

typed as (

    select
        answers.load_id,
        answers.row_number,
        answers.row_key,
        answers.payload,
        answers.is_current,
        {{ vendor_figure("answers.figures.balance_credits") }} as credits,
        {{ vendor_figure("answers.figures.lifetime_earned") }} as lifetime_earned_credits,
        {{ vendor_figure("answers.figures.lifetime_spent") }} as lifetime_spent_credits,
        {{ parse_utc("answers.figures.credit_expiry_at") }} as credit_expiry_at_utc,
        {{ parse_utc("answers.figures.updated_at") }} as updated_at_utc
    from answers

)

select
    typed.load_id,
    typed.row_number,
    typed.row_key,
    typed.is_current,
    typed.credits,
    typed.lifetime_earned_credits,
    typed.lifetime_spent_credits,
    typed.credit_expiry_at_utc,
    typed.updated_at_utc,
    case when coalesce(abs(typed.credits) >= {{ largest_vendor_figure() }}, true) then 'bad_credits' end as rejection_reason,
    case when rejection_reason is not null then typed.payload end as rejected_payload
from typed
