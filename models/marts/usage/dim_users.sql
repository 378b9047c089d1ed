-- Purpose: every user that the vendor's data names: users with usage, owners of sandboxes, users with a quota.
-- Grain: one row per user (external_user_id), and `(unattributed)` if there is usage that belongs to nobody.
{{ config(materialized="view") }}

select
    users.external_user_id,
    users.is_attributed,
    users.first_seen_at_utc,
    users.last_seen_at_utc,
    users.sandbox_count
from {{ ref("int_users") }} as users
