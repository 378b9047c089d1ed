-- The charges as JSON: decimals as numbers with all their digits, not through a float; tags as objects. In a fixed order.
-- noqa: disable=CP02
select
    * replace (
        regexp_replace(BilledCost::varchar, '(\.[0-9]+?)0+$', '\1')::json as BilledCost,
        regexp_replace(ConsumedQuantity::varchar, '(\.[0-9]+?)0+$', '\1')::json as ConsumedQuantity,
        regexp_replace(ContractedCost::varchar, '(\.[0-9]+?)0+$', '\1')::json as ContractedCost,
        regexp_replace(ContractedUnitPrice::varchar, '(\.[0-9]+?)0+$', '\1')::json as ContractedUnitPrice,
        regexp_replace(EffectiveCost::varchar, '(\.[0-9]+?)0+$', '\1')::json as EffectiveCost,
        regexp_replace(ListCost::varchar, '(\.[0-9]+?)0+$', '\1')::json as ListCost,
        regexp_replace(ListUnitPrice::varchar, '(\.[0-9]+?)0+$', '\1')::json as ListUnitPrice,
        regexp_replace(PricingCurrencyContractedUnitPrice::varchar, '(\.[0-9]+?)0+$', '\1')::json as PricingCurrencyContractedUnitPrice,
        regexp_replace(PricingCurrencyEffectiveCost::varchar, '(\.[0-9]+?)0+$', '\1')::json as PricingCurrencyEffectiveCost,
        regexp_replace(PricingCurrencyListUnitPrice::varchar, '(\.[0-9]+?)0+$', '\1')::json as PricingCurrencyListUnitPrice,
        regexp_replace(PricingQuantity::varchar, '(\.[0-9]+?)0+$', '\1')::json as PricingQuantity,
        strftime(BillingPeriodStart, '%Y-%m-%dT%H:%M:%SZ') as BillingPeriodStart,
        strftime(BillingPeriodEnd, '%Y-%m-%dT%H:%M:%SZ') as BillingPeriodEnd,
        strftime(ChargePeriodStart, '%Y-%m-%dT%H:%M:%SZ') as ChargePeriodStart,
        strftime(ChargePeriodEnd, '%Y-%m-%dT%H:%M:%SZ') as ChargePeriodEnd,
        SkuPriceDetails::json as SkuPriceDetails,
        Tags::json as Tags
    )
from charges
order by ChargePeriodStart, x_ChargeId
