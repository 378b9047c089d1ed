-- Purpose: who the users are, as their invoices name them: names, addresses and tax numbers.
-- Grain: one row per user of customers.csv (external_user_id).
-- Apart from dim_users, so that a copy of the marts for dashboards can leave it out.
{{ config(materialized="view") }}

select
    customers.external_user_id,
    customers.customer_name,
    customers.email,
    customers.address,
    customers.country,
    customers.tax_id,
    customers.reference
from {{ ref("stg_billing__customers") }} as customers
