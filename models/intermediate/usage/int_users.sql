-- Purpose: every user that the vendor's data names: users with usage, owners of sandboxes, users with a quota; and
--          `(unattributed)` if there is usage that belongs to nobody.
-- Grain: one row per user (external_user_id).

with

periods as (

    select * from {{ ref("int_user_periods") }}

),

sandboxes as (

    select * from {{ ref("int_user_sandboxes") }}

),

owners as (

    select * from {{ ref("int_sandbox_owners") }}

),

quotas as (

    select * from {{ ref("stg_miosa__quotas") }}
    where
        has_quota
        and rejection_reason is null

),

usage as (

    select
        periods.external_user_id,
        min(periods.first_start_at_utc) as first_seen_at_utc,
        max(periods.last_end_at_utc) as last_seen_at_utc
    from periods
    group by periods.external_user_id

),

sandbox_counts as (

    select
        sandboxes.external_user_id,
        count(*) as sandbox_count
    from sandboxes
    group by sandboxes.external_user_id

),

users as (

    select usage.external_user_id from usage
    union
    select owners.external_user_id from owners
    union
    select quotas.external_user_id from quotas

)

select
    users.external_user_id,
    users.external_user_id <> '{{ unattributed() }}' as is_attributed,
    usage.first_seen_at_utc,
    usage.last_seen_at_utc,
    coalesce(sandbox_counts.sandbox_count, 0) as sandbox_count
from users
left join usage on users.external_user_id = usage.external_user_id
left join sandbox_counts on users.external_user_id = sandbox_counts.external_user_id
