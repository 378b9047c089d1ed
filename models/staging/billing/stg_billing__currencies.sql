-- Purpose: the currencies that can be billed in, and how many decimals their smallest unit has (ISO 4217).
-- Grain: one row per currency (currency).

with

currencies as (

    select * from {{ ref("currencies") }}

)

select
    currencies.currency,
    case when {{ full_match("currencies.exponent", "[0-3]") }} then currencies.exponent::integer end as exponent
from currencies
