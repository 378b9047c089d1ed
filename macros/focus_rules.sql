{#-
    Rules of FOCUS 1.2 that can be seen on one row, as SQL of what breaks them, by the id that the requirements model of the specification
    gives them. The columns are those of a mart. is_billed: whether charges are on an invoice of ours, so that they must have an InvoiceId;
    if not, they must have none.
-#}
{% macro focus_violations(is_billed) -%}
    {%- set rules = {} -%}
    {%- for column in ["BilledCost", "ContractedCost", "EffectiveCost", "ListCost"] -%}
        {%- do rules.update({column ~ "-C-003-M": column ~ " is null"}) -%}
    {%- endfor -%}
    {%- for column in focus_names() -%}
        {%- do rules.update({"MUST-NOT-be-null-" ~ column: column ~ " is null"}) -%}
    {%- endfor -%}
    {#- A unit, a name or a type is there if, and only if, what it belongs to is. -#}
    {%- for column, owner in {
        "ConsumedUnit": "ConsumedQuantity", "PricingUnit": "PricingQuantity", "ResourceType": "ResourceId", "SkuMeter": "SkuId",
        "SkuPriceDetails": "SkuPriceId", "SubAccountName": "SubAccountId", "SubAccountType": "SubAccountId",
    }.items() -%}
        {%- do rules.update({column ~ "-C-nullability": "(" ~ column ~ " is null) <> (" ~ owner ~ " is null)"}) -%}
    {%- endfor -%}
    {#- What usage and purchases must have, unless they correct. -#}
    {%- for column in [
        "ContractedUnitPrice", "ListUnitPrice", "PricingCategory", "PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice",
        "PricingQuantity", "SkuId", "SkuPriceId",
    ] -%}
        {%- do rules.update({
            column ~ "-MUST-NOT-be-null": column ~ " is null and ChargeCategory in ('Usage', 'Purchase') and ChargeClass is null"
        }) -%}
    {%- endfor -%}
    {%- for column in ["ContractedUnitPrice", "ListUnitPrice", "PricingCurrencyContractedUnitPrice", "PricingCurrencyListUnitPrice"] -%}
        {%- do rules.update({column ~ "-not-negative": column ~ " < 0"}) -%}
    {%- endfor -%}
    {#- Cost is price times quantity, exactly; without a price, it is what is billed. -#}
    {%- for kind in ["Contracted", "List"] -%}
        {%- set price, cost = kind ~ "UnitPrice", kind ~ "Cost" -%}
        {%- set product = product_of_nano(credits_to_nano(price), credits_to_nano("PricingQuantity")) -%}
        {%- do rules.update({
            cost ~ "-C-009-C": price ~ " is not null and PricingQuantity is not null and ChargeClass is null and " ~ cost ~ " <> " ~ product,
            cost ~ "-C-008-C": price ~ " is null and " ~ cost ~ " <> BilledCost",
        }) -%}
    {%- endfor -%}
    {%- do rules.update({
        "BilledCost-C-005-C": "ProviderName <> InvoiceIssuerName and BilledCost <> 0",
        "BillingCurrency-C-003-M": "not " ~ full_match("BillingCurrency", "[A-Z]{3}"),
        "BillingCurrency-C-006-M": "BillingCurrency = 'CRD'",
        "BillingPeriodEnd-C-004-M": "BillingPeriodEnd <= BillingPeriodStart or ChargePeriodEnd > BillingPeriodEnd",
        "ChargeCategory-C-003-M": "ChargeCategory not in ('Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment')",
        "ChargeClass-C-003-C": "(ChargeClass is not null) <> (ChargePeriodStart < BillingPeriodStart)",
        "ChargeClass-C-005-C": "ChargeClass <> 'Correction'",
        "ChargeFrequency-C-003-M": "ChargeFrequency not in ('One-Time', 'Recurring', 'Usage-Based')",
        "ChargeFrequency-C-004-C": "ChargeFrequency = 'Usage-Based' and ChargeCategory = 'Purchase'",
        "ChargePeriodEnd-C-004-M": "ChargePeriodEnd <= ChargePeriodStart",
        "CommitmentDiscountStatus-C-003-C": "CommitmentDiscountStatus is not null",
        "ConsumedQuantity-C-004-C": "ConsumedQuantity is not null and ChargeCategory <> 'Usage'",
        "ConsumedQuantity-C-006-C": "ConsumedQuantity is null and ChargeCategory = 'Usage'",
        "DateTimeFormat-A-005-M": "ChargePeriodStart <> date_trunc('second', ChargePeriodStart) or ChargePeriodEnd <> date_trunc('second', ChargePeriodEnd)",
        "EffectiveCost-C-005-C": "ChargeCategory = 'Purchase' and EffectiveCost <> 0",
        "InvoiceId-C-005-C" if is_billed else "InvoiceId-C-004-C": "InvoiceId is null" if is_billed else "InvoiceId is not null",
        "KeyValueFormat-A-001-M": "Tags not like '{%}' or SkuPriceDetails not like '{%}'",
        "KeyValueFormat-A-004-M": "not " ~ is_flat_json("Tags") ~ " or not " ~ is_flat_json("SkuPriceDetails"),
        "PricingCategory-C-007-M": "PricingCategory not in ('Standard', 'Committed', 'Dynamic', 'Other')",
        "PricingCurrency-C-003-M": "not " ~ full_match("PricingCurrency", "[A-Z]{3}"),
        "PricingCurrencyEffectiveCost-C-005-M": "ChargeCategory = 'Purchase' and PricingCurrencyEffectiveCost <> 0",
        "SkuPriceId-C-008-M": "SkuPriceId <> SkuId",
    }) -%}
    {%- set blank, beyond_ascii = [], [] -%}
    {%- for column in focus_texts() -%}
        {%- do blank.append("trim(" ~ column ~ ") = ''") -%}
        {%- do beyond_ascii.append("not " ~ full_match(column, "[ -~]*")) -%}
    {%- endfor -%}
    {%- do rules.update({"NullHandling-A-002-M": blank | join(" or "), "StringHandling-ASCII": beyond_ascii | join(" or ")}) -%}
    {{ return(rules) }}
{%- endmacro %}

{#- Columns of FOCUS that are never null, besides amounts. -#}
{% macro focus_names() -%}
    {{ return([
        "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
        "ChargeCategory", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "InvoiceIssuerName", "ProviderName",
        "PublisherName", "ServiceProviderName", "HostProviderName", "PricingCurrency", "PricingCurrencyEffectiveCost", "ServiceCategory",
        "ServiceName", "ServiceSubcategory", "Tags",
    ]) }}
{%- endmacro %}

{#- Columns of FOCUS whose texts must be ASCII and not blank. -#}
{% macro focus_texts() -%}
    {{ return([
        "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency", "ChargeDescription", "ConsumedUnit", "HostProviderName",
        "InvoiceId", "InvoiceIssuerName", "PricingUnit", "ProviderName", "PublisherName", "ResourceId", "ResourceType", "ServiceName",
        "ServiceProviderName", "SkuId", "SkuMeter", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType",
    ]) }}
{%- endmacro %}

{#- Whether a JSON object has only texts, numbers, true, false and null as values. Null if the text is. -#}
{% macro is_flat_json(document) -%}
    {{ full_match(without_json_texts(document), "[{][0-9a-zA-Z:., +-]*[}]") }}
{%- endmacro %}
