-- The charges as texts, in a fixed order: decimals with at least one digit after the point, so that readers do not take them for integers,
-- and times as FOCUS wants them.
-- noqa: disable=CP02
select
    * replace (
        regexp_replace(BilledCost::varchar, '(\.[0-9]+?)0+$', '\1') as BilledCost,
        regexp_replace(ConsumedQuantity::varchar, '(\.[0-9]+?)0+$', '\1') as ConsumedQuantity,
        regexp_replace(ContractedCost::varchar, '(\.[0-9]+?)0+$', '\1') as ContractedCost,
        regexp_replace(ContractedUnitPrice::varchar, '(\.[0-9]+?)0+$', '\1') as ContractedUnitPrice,
        regexp_replace(EffectiveCost::varchar, '(\.[0-9]+?)0+$', '\1') as EffectiveCost,
        regexp_replace(ListCost::varchar, '(\.[0-9]+?)0+$', '\1') as ListCost,
        regexp_replace(ListUnitPrice::varchar, '(\.[0-9]+?)0+$', '\1') as ListUnitPrice,
        regexp_replace(PricingCurrencyContractedUnitPrice::varchar, '(\.[0-9]+?)0+$', '\1') as PricingCurrencyContractedUnitPrice,
        regexp_replace(PricingCurrencyEffectiveCost::varchar, '(\.[0-9]+?)0+$', '\1') as PricingCurrencyEffectiveCost,
        regexp_replace(PricingCurrencyListUnitPrice::varchar, '(\.[0-9]+?)0+$', '\1') as PricingCurrencyListUnitPrice,
        regexp_replace(PricingQuantity::varchar, '(\.[0-9]+?)0+$', '\1') as PricingQuantity,
        strftime(BillingPeriodStart, '%Y-%m-%dT%H:%M:%SZ') as BillingPeriodStart,
        strftime(BillingPeriodEnd, '%Y-%m-%dT%H:%M:%SZ') as BillingPeriodEnd,
        strftime(ChargePeriodStart, '%Y-%m-%dT%H:%M:%SZ') as ChargePeriodStart,
        strftime(ChargePeriodEnd, '%Y-%m-%dT%H:%M:%SZ') as ChargePeriodEnd
    )
from charges
order by ChargePeriodStart, x_ChargeId
