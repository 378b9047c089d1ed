-- The limits that plans and overrides ask for on a day. One row per user and quota.
-- $1: the day (UTC).
select external_user_id, quota, limit_value, wanted_by, plan_id
from marts.dim_desired_quota_limits
where (valid_from is null or valid_from <= $1) and (valid_to is null or $1 < valid_to)
order by external_user_id, quota
