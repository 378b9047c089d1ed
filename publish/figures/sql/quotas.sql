-- Limits and use of everybody who has a quota. One row per user and quota. Users without one are left out: `quota_states` counts them.
-- $1: the billing period.
select
    quotas.external_user_id,
    users.display_name,
    quotas.quota,
    quotas.status as quota_status,
    quotas.limit_value,
    quotas.used_value,
    quotas.headroom_value,
    quotas.utilization,
    quotas.has_limit_changed,
    quotas.reached_limit_at_utc
from marts.fct_quota_utilization as quotas
left join marts.dim_users as users on quotas.external_user_id = users.external_user_id
where quotas.billing_period = $1 and quotas.status <> 'no_quota'
order by quotas.external_user_id, list_position(['credits', 'concurrent', 'sandboxes', 'storage_gb'], quotas.quota)
