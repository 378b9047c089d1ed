-- Purpose: the vendor's own total of each billing period, from its newest answer.
-- Grain: one row per billing period (billing_period).

with

versions as (

    select * from {{ source("miosa", "usage_summaries") }}

),

answers as (

    select
        versions.load_id,
        versions.row_number,
        versions.row_key as billing_period,
        versions.payload,
        coalesce(versions.payload_normalized, versions.payload) as body
    from versions
    qualify
        row_number() over (partition by versions.row_key order by versions.load_id desc, versions.row_number desc) = 1

),

wrapped as (

    select
        answers.*,
        {{ json_fields("answers.body", texts=["total_credits"], documents=["data"]) }} as fields
    from answers

),

typed as (

    -- The figures are at the top level or inside `data`.
    select
        wrapped.load_id,
        wrapped.row_number,
        wrapped.billing_period,
        wrapped.payload,
        coalesce(
            wrapped.fields.total_credits,
            ({{ json_fields("wrapped.fields.data::string", texts=["total_credits"]) }}).total_credits
        ) as total_credits_text
    from wrapped

)

select
    typed.load_id,
    typed.row_number,
    typed.billing_period,
    {{ vendor_figure("typed.total_credits_text") }} as credits,
    case
        when
            coalesce(abs({{ vendor_figure("typed.total_credits_text") }}) >= {{ largest_vendor_figure() }}, true)
            then 'bad_credits'
    end as rejection_reason,
    case when rejection_reason is not null then typed.payload end as rejected_payload
from typed
