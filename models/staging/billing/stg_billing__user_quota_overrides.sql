-- Purpose: limits of single users that differ from those of their plan, and the days on which they are valid, typed exactly.
-- Grain: one row per user and first day (external_user_id, valid_from).
-- A cell that cannot be read is null here, and int_quota_errors stops the build. An empty cell leaves the plan's limit as it
-- is; the word `uncapped` lifts it.

with

user_quota_overrides as (

    select * from {{ ref("user_quota_overrides") }}

)

select
    user_quota_overrides.external_user_id,
    {{ seed_day("user_quota_overrides.valid_from") }} as valid_from,
    {{ seed_day("user_quota_overrides.valid_to") }} as valid_to,
    user_quota_overrides.max_sandboxes is not null as has_sandboxes_override,
    {{ seed_count("user_quota_overrides.max_sandboxes") }} as sandboxes_limit,
    user_quota_overrides.max_concurrent is not null as has_concurrent_override,
    {{ seed_count("user_quota_overrides.max_concurrent") }} as concurrent_limit,
    user_quota_overrides.max_storage_gb is not null as has_storage_gb_override,
    {{ seed_amount("user_quota_overrides.max_storage_gb") }} as storage_gb_limit,
    user_quota_overrides.max_credit_cents is not null as has_credits_override,
    {{ seed_amount("user_quota_overrides.max_credit_cents") }} as credits_limit
from user_quota_overrides
