-- Purpose: what the platform pays the vendor, in the columns of FOCUS: the billing account is the platform's account at the vendor, a
--          sub-account is an end user, a resource is a sandbox. Never to be added to rpt_focus_resale.
-- Grain: one row per billing period, UTC day, user, project, workspace, sandbox and price (x_ChargeId).
-- noqa: disable=CP02
{{ config(
    materialized="view", meta={"changes": "open_periods", "changed_keys": ["x_BillingPeriod"], "changed_where": "ChargeClass is null"},
) }}
{%- set nano_price = credits_to_nano("costs.unit_price") %}
{%- set cost = product_of_nano("costs.nano_credits", nano_price) %}

with

costs as (

    select
        *,
        external_user_id <> '{{ unattributed() }}' as is_attributed
    from {{ ref("int_focus_costs") }}

)

select
    {{ focus_text_variable("focus_vendor_account") }} as BillingAccountId,
    {{ focus_text_variable("focus_vendor_account") }} as BillingAccountName,
    'Vendor Account' as BillingAccountType,
    {{ cost }} as BilledCost,
    costs.currency as BillingCurrency,
    ({{ period_start("costs.billing_period") }} + interval 1 month)::timestamp as BillingPeriodEnd,
    {{ period_start("costs.billing_period") }} as BillingPeriodStart,
    'Usage' as ChargeCategory,
    case when costs.is_correction then 'Correction' end as ChargeClass,
    case when costs.is_correction then 'Correction of sandbox usage' else 'Sandbox usage' end as ChargeDescription,
    'Usage-Based' as ChargeFrequency,
    (costs.usage_date + 1)::timestamp as ChargePeriodEnd,
    costs.usage_date::timestamp as ChargePeriodStart,
    null::string as CommitmentDiscountStatus,
    costs.usage_seconds::decimal(38, 9) as ConsumedQuantity,
    'Seconds' as ConsumedUnit,
    {{ cost }} as ContractedCost,
    costs.unit_price::decimal(38, 9) as ContractedUnitPrice,
    {{ cost }} as EffectiveCost,
    null::string as InvoiceId,
    {{ focus_name_columns("focus_vendor_name") }},
    {{ cost }} as ListCost,
    costs.unit_price::decimal(38, 9) as ListUnitPrice,
    'Standard' as PricingCategory,
    'CRD' as PricingCurrency,
    1::decimal(38, 9) as PricingCurrencyContractedUnitPrice,
    costs.credits::decimal(38, 9) as PricingCurrencyEffectiveCost,
    1::decimal(38, 9) as PricingCurrencyListUnitPrice,
    costs.credits::decimal(38, 9) as PricingQuantity,
    'Credits' as PricingUnit,
    {{ focus_text("costs.sandbox_id") }} as ResourceId,
    null::string as ResourceName,
    case when costs.sandbox_id is not null then 'Sandbox' end as ResourceType,
    {{ focus_service_columns() }},
    'sandbox-credits' as SkuId,
    'Sandbox credits' as SkuMeter,
    '{"x_MeteredIn": "Seconds"}' as SkuPriceDetails,
    'sandbox-credits' as SkuPriceId,
    case when costs.is_attributed then {{ focus_text("costs.external_user_id") }} end as SubAccountId,
    case when costs.is_attributed then {{ focus_text("costs.external_user_id") }} end as SubAccountName,
    case when costs.is_attributed then 'End User' end as SubAccountType,
    {{ focus_tags({
        "external_user_id": "case when costs.is_attributed then costs.external_user_id end",
        "external_project_id": "costs.external_project_id",
        "workspace_id": "costs.workspace_id",
        "sandbox_id": "costs.sandbox_id",
    }) }} as Tags,
    {{ text_key([
        "costs.billing_period", "costs.usage_date::string", "costs.external_user_id", "costs.external_project_id", "costs.workspace_id",
        "costs.sandbox_id", "costs.unit_price::string", "costs.currency", "costs.is_correction::string",
    ]) }} as x_ChargeId,
    costs.billing_period as x_BillingPeriod,
    costs.external_user_id as x_ExternalUserId
from costs
