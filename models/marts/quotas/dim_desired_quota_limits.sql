-- Purpose: the desired limits of each user by day, for `publish quotas` and for planning ahead.
-- Grain: one row per user, quota and range of days (external_user_id, quota, valid_from).
{{ config(materialized="view") }}

select
    desired_quota_limits.external_user_id,
    desired_quota_limits.quota,
    desired_quota_limits.valid_from,
    desired_quota_limits.valid_to,
    desired_quota_limits.limit_value,
    desired_quota_limits.wanted_by,
    desired_quota_limits.plan_id
from {{ ref("int_desired_quota_limits") }} as desired_quota_limits
