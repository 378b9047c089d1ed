-- Purpose: the vendor's newest overview of the platform's own account, typed.
-- Grain: one row, or none if the overview was never read (row_key).

with

versions as (

    select * from {{ source("miosa", "billing_overviews") }}

),

wrapped as (

    select
        versions.load_id,
        versions.row_number,
        versions.row_key,
        coalesce(versions.payload_normalized, versions.payload) as body,
        {{ json_fields("coalesce(versions.payload_normalized, versions.payload)", documents=["data"]) }} as fields
    from versions
    qualify row_number() over (order by versions.load_id desc, versions.row_number desc) = 1

),

answers as (

    -- The figures are at the top level or inside `data`.
    select
        wrapped.load_id,
        wrapped.row_number,
        wrapped.row_key,
        {{ json_fields(
            "coalesce(wrapped.fields.data::string, wrapped.body)",
            texts=[
                "topup_balance_cents", "billing_period_usage_cents", "available_balance_cents", "billing_period_start",
                "billing_period_end",
            ],
        ) }} as figures
    from wrapped

)

select
    answers.load_id,
    answers.row_number,
    answers.row_key,
    {{ vendor_figure("answers.figures.topup_balance_cents") }} as topup_balance_credits,
    {{ vendor_figure("answers.figures.billing_period_usage_cents") }} as period_usage_credits,
    {{ vendor_figure("answers.figures.available_balance_cents") }} as available_credits,
    {{ parse_utc("answers.figures.billing_period_start") }} as period_start_at_utc,
    {{ parse_utc("answers.figures.billing_period_end") }} as period_end_at_utc
from answers
