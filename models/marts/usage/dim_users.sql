-- Purpose: everybody the vendor's data names: users with usage, owners of sandboxes, users with a quota; and
--          `(unattributed)` when there is usage that belongs to nobody.
-- Grain: one row a user (external_user_id).

with

sessions as (

    select * from {{ ref("int_sessions") }}

),

owners as (

    select * from {{ ref("int_sandbox_owners") }}

),

quotas as (

    select * from {{ ref("stg_miosa__quotas") }}
    where has_quota

),

usage as (

    select
        sessions.external_user_id,
        min(sessions.started_at_utc) as first_seen_at_utc,
        max(sessions.end_at_utc) as last_seen_at_utc,
        count(distinct sessions.sandbox_id) as sandbox_count
    from sessions
    group by sessions.external_user_id

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
    coalesce(usage.sandbox_count, 0) as sandbox_count
from users
left join usage on users.external_user_id = usage.external_user_id
