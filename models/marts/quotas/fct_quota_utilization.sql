-- Purpose: how close each user is to each limit in each billing period, and when the limit was reached.
-- Grain: one row per user, billing period and quota (external_user_id, billing_period, quota).
{{ config(materialized="view") }}

select
    quota_utilization.external_user_id,
    quota_utilization.billing_period,
    {{ period_start_date("quota_utilization.billing_period") }} as period_start_date,
    quota_utilization.quota,
    quota_utilization.limit_value,
    quota_utilization.used_value,
    quota_utilization.headroom_value,
    quota_utilization.utilization,
    quota_utilization.status,
    quota_utilization.has_limit_changed,
    quota_utilization.reached_limit_at_utc
from {{ ref("int_quota_utilization") }} as quota_utilization
