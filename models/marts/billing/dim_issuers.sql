-- Purpose: who issues the invoices, and from when on.
-- Grain: one row per issuer (issuer_id).
{{ config(materialized="view") }}

select
    issuers.issuer_id,
    issuers.valid_from,
    issuers.issuer_name,
    issuers.address,
    issuers.country,
    issuers.tax_id,
    issuers.email,
    issuers.payment_terms,
    issuers.footer
from {{ ref("stg_billing__issuers") }} as issuers
