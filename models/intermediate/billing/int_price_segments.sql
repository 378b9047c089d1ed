-- Purpose: which plan and price list each user is on, on each billable day (rule 18).
-- Grain: one row a user, billing period and run of days with one plan and one price list
--        (external_user_id, billing_period, from_date).

with

plan_segments as (

    select * from {{ ref("int_plan_segments") }}

),

plan_prices as (

    select * from {{ ref("stg_billing__plan_prices") }}

)

{{ price_segments() }}
