-- Purpose: what the vendor charges the platform for a credit, and on which days, typed exactly.
-- Grain: one row per price (valid_from).
-- A cell that cannot be read is null here, and int_pricing_errors stops the build. A price that ends on the day it begins is valid on no
-- day and left out.

with

vendor_prices as (

    select * from {{ ref("vendor_prices") }}

)

select
    {{ seed_day("vendor_prices.valid_from") }} as valid_from,
    {{ seed_day("vendor_prices.valid_to") }} as valid_to,
    {{ seed_amount("vendor_prices.price_per_credit") }} as price_per_credit,
    vendor_prices.currency
from vendor_prices
where vendor_prices.valid_from is distinct from vendor_prices.valid_to or vendor_prices.valid_from is null
