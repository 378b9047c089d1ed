-- Purpose: which user is on which plan, from which day to which day (rule 18).
-- Grain: one row per assignment (external_user_id, valid_from).
-- An assignment that ends on the day it begins is valid on no day and left out.

with

user_plans as (

    select * from {{ ref("user_plans") }}

)

select
    user_plans.external_user_id,
    user_plans.plan_id,
    {{ seed_day("user_plans.valid_from") }} as valid_from,
    {{ seed_day("user_plans.valid_to") }} as valid_to
from user_plans
where user_plans.valid_from is distinct from user_plans.valid_to or user_plans.valid_from is null
