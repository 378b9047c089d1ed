-- Purpose: who the users are: the names and addresses for reports and invoices. No figure depends on them.
-- Grain: one row per user (external_user_id).

with

customers as (

    select * from {{ ref("customers") }}

)

select
    customers.external_user_id,
    customers.customer_name,
    customers.email,
    customers.address,
    customers.country,
    customers.tax_id,
    customers.reference
from customers
