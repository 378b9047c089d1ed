-- Purpose: every user that the vendor's data names (users with usage, owners of sandboxes, users with a quota) or that is on an
--          invoice, with the current plan and the name to show.
-- Grain: one row per user (external_user_id), and `(unattributed)` if there is usage that belongs to nobody.
{{ config(materialized="view") }}

select
    user_details.external_user_id,
    user_details.is_attributed,
    user_details.first_seen_at_utc,
    user_details.last_seen_at_utc,
    user_details.sandbox_count,
    user_details.display_name,
    user_details.plan_id as current_plan_id,
    user_details.currency as current_currency,
    user_details.is_known_to_vendor
from {{ ref("int_user_details") }} as user_details
