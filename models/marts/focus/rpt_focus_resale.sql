-- Purpose: what end users are billed, in the columns of FOCUS: the billing account is an end user, a sub-account is a project, a resource
--          is a sandbox. Never to be added to rpt_focus_cost.
-- Grain: one row per invoice, line, category, first day, project, workspace and sandbox (x_ChargeId).
-- noqa: disable=CP02
{{ config(
    materialized="view", meta={"changes": "open_periods", "changed_keys": ["x_BillingPeriod"]},
) }}
{%- set billed = nano_to_credits("charges.nano_amount") ~ "::decimal(38, 18)" %}

with

charges as (

    select
        *,
        charge_category = 'Usage' as is_usage,
        charge_category = 'Purchase' as is_purchase,
        -- A correction has no price of its own: the amount per credit, if it is one.
        case
            when charge_category = 'Purchase' then {{ nano_to_credits("nano_amount") }}
            when
                charge_category = 'Usage'
                and is_correction
                and ((nano_amount > 0 and nano_credits > 0) or (nano_amount < 0 and nano_credits < 0))
                then {{ rounded_ratio("abs(nano_amount)", "abs(nano_credits)", 9, "decimal(38, 9)") }}
            when not is_correction then unit_price::decimal(38, 9)
        end::decimal(38, 9) as focus_price
    from {{ ref("int_focus_charges") }}

)

select
    {{ focus_text("charges.external_user_id") }} as BillingAccountId,
    {{ focus_text("charges.external_user_id") }} as BillingAccountName,
    'End User' as BillingAccountType,
    {{ billed }} as BilledCost,
    charges.currency as BillingCurrency,
    ({{ period_start("charges.invoice_period") }} + interval 1 month)::timestamp as BillingPeriodEnd,
    {{ period_start("charges.invoice_period") }} as BillingPeriodStart,
    charges.charge_category as ChargeCategory,
    case when charges.is_correction then 'Correction' end as ChargeClass,
    {{ focus_text("charges.description") }} as ChargeDescription,
    case
        when charges.is_usage then 'Usage-Based'
        when charges.is_purchase then 'Recurring'
        else 'One-Time'
    end as ChargeFrequency,
    charges.to_date::timestamp as ChargePeriodEnd,
    charges.from_date::timestamp as ChargePeriodStart,
    null::string as CommitmentDiscountStatus,
    -- The ledger of an earlier version knows credits, but no seconds.
    case when charges.is_usage then coalesce(charges.usage_seconds::decimal(38, 9), {{ nano_to_credits("charges.nano_credits") }}) end
        as ConsumedQuantity,
    case
        when charges.is_usage and charges.usage_seconds is null then 'Credits'
        when charges.is_usage then 'Seconds'
    end as ConsumedUnit,
    {% for column in ["ContractedCost", "ListCost"] -%}
    case
        when charges.is_usage and not charges.is_correction
            then {{ product_of_nano("charges.nano_credits", credits_to_nano("charges.unit_price")) }}
        else {{ billed }}
    end as {{ column }},
    {% endfor -%}
    charges.focus_price as ContractedUnitPrice,
    {{ nano_to_credits("charges.effective_nano_amount") }}::decimal(38, 18) as EffectiveCost,
    charges.invoice_id as InvoiceId,
    {{ focus_name_columns("focus_seller_name") }},
    charges.focus_price as ListUnitPrice,
    case when charges.is_usage or charges.is_purchase then 'Standard' end as PricingCategory,
    case when charges.is_usage then 'CRD' else charges.currency end as PricingCurrency,
    case when charges.is_usage then 1::decimal(38, 9) else charges.focus_price end as PricingCurrencyContractedUnitPrice,
    case
        when charges.is_usage then {{ nano_to_credits("charges.nano_credits") }}
        else {{ nano_to_credits("charges.effective_nano_amount") }}
    end as PricingCurrencyEffectiveCost,
    case when charges.is_usage then 1::decimal(38, 9) else charges.focus_price end as PricingCurrencyListUnitPrice,
    case
        when charges.is_usage then {{ nano_to_credits("charges.nano_credits") }}
        when charges.is_purchase then 1
    end::decimal(38, 9) as PricingQuantity,
    case
        when charges.is_usage then 'Credits'
        when charges.is_purchase then 'Units'
    end as PricingUnit,
    {{ focus_text("charges.sandbox_id") }} as ResourceId,
    null::string as ResourceName,
    case when charges.sandbox_id is not null then 'Sandbox' end as ResourceType,
    {{ focus_service_columns() }},
    {% for column in ["SkuId", "SkuPriceId"] -%}
    case
        when charges.is_usage then 'sandbox-credits'
        when charges.is_purchase then 'plan-' || charges.line_type
    end as {{ column }},
    {% endfor -%}
    case
        when charges.is_usage then 'Sandbox credits'
        when charges.line_type = 'fee' then 'Plan fee'
        when charges.line_type = 'minimum' then 'Minimum charge'
    end as SkuMeter,
    case
        when charges.is_usage then '{"x_MeteredIn": "Seconds"}'
        when charges.is_purchase then '{"x_ProratedBy": "Days"}'
    end as SkuPriceDetails,
    {{ focus_text("charges.external_project_id") }} as SubAccountId,
    {{ focus_text("charges.external_project_id") }} as SubAccountName,
    case when charges.external_project_id is not null then 'Project' end as SubAccountType,
    {{ focus_tags({
        "external_user_id": "charges.external_user_id",
        "external_project_id": "charges.external_project_id",
        "workspace_id": "charges.workspace_id",
        "sandbox_id": "charges.sandbox_id",
        "plan_id": "charges.plan_id",
    }) }} as Tags,
    {{ text_key([
        "charges.invoice_id", "charges.line_id", "charges.charge_category", "charges.from_date::string", "charges.external_project_id",
        "charges.workspace_id", "charges.sandbox_id",
    ]) }} as x_ChargeId,
    charges.line_id as x_LineId,
    charges.line_type as x_LineType,
    charges.invoice_period as x_BillingPeriod,
    charges.external_user_id as x_ExternalUserId
from charges
