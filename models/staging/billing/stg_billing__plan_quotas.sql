-- Purpose: the desired limits of the users of each plan and the days on which they are valid, typed exactly.
-- Grain: one row per plan and first day (plan_id, valid_from).
-- A cell that cannot be read is null here, and int_quota_errors stops the build. An empty limit is null as well and means
-- uncapped.

with

plan_quotas as (

    select * from {{ ref("plan_quotas") }}

)

select
    plan_quotas.plan_id,
    {{ seed_day("plan_quotas.valid_from") }} as valid_from,
    {{ seed_day("plan_quotas.valid_to") }} as valid_to,
    {{ seed_count("plan_quotas.max_sandboxes") }} as sandboxes_limit,
    {{ seed_count("plan_quotas.max_concurrent") }} as concurrent_limit,
    {{ seed_amount("plan_quotas.max_storage_gb") }} as storage_gb_limit,
    {{ seed_amount("plan_quotas.max_credit_cents") }} as credits_limit
from plan_quotas
