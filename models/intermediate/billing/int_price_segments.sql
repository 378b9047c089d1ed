-- Purpose: the plan and price list of each user on each billable day (rule 18).
-- Grain: one row per user, billing period and run of days with one plan and one price list
--        (external_user_id, billing_period, from_date).

with

plan_segments as (

    select * from {{ ref("int_plan_segments") }}

),

plan_prices as (

    select * from {{ ref("stg_billing__plan_prices") }}

)

{{ price_segments() }}
