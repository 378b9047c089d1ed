-- Purpose: the plans that users can be on, and the currency in which each is billed.
-- Grain: one row per plan (plan_id).

with

plans as (

    select * from {{ ref("plans") }}

)

select
    plans.plan_id,
    plans.plan_name,
    plans.currency
from plans
