-- Purpose: which customer at Stripe pays for which user.
-- Grain: one row per user (external_user_id).
{{ config(materialized="view") }}

select
    stripe_customers.external_user_id,
    stripe_customers.stripe_customer_id
from {{ ref("stripe_customers") }} as stripe_customers
