-- Purpose: who issues the invoices, and what their documents say about it. No figure depends on them.
-- Grain: one row per issuer (issuer_id).

with

issuers as (

    select * from {{ ref("issuer") }}

)

select
    issuers.issuer_id,
    {{ seed_day("issuers.valid_from") }} as valid_from,
    issuers.issuer_name,
    issuers.address,
    issuers.country,
    issuers.tax_id,
    issuers.email,
    issuers.payment_terms,
    issuers.footer
from issuers
