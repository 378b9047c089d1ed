-- Purpose: every sandbox that the vendor lists or that ran a session, with its owner, its age and its use.
-- Grain: one row per sandbox (sandbox_id).

with

listed as (

    select * from {{ ref("stg_miosa__sandboxes") }}
    where
        is_current
        and sandbox_id is not null

),

owners as (

    -- A range of time without an end is the current owner's.
    select * from {{ ref("int_sandbox_owners") }}
    where valid_to_utc is null

),

sandbox_periods as (

    select * from {{ ref("int_sandbox_periods") }}

),

used as (

    select
        sandbox_periods.sandbox_id,
        min(sandbox_periods.first_started_at_utc) as first_started_at_utc,
        max(sandbox_periods.last_end_at_utc) as last_end_at_utc
    from sandbox_periods
    group by sandbox_periods.sandbox_id

),

last_users as (

    select
        sandbox_periods.sandbox_id,
        sandbox_periods.external_user_id
    from sandbox_periods
    qualify row_number() over (
        partition by sandbox_periods.sandbox_id
        order by sandbox_periods.last_end_at_utc desc, sandbox_periods.billing_period desc, sandbox_periods.external_user_id asc
    ) = 1

),

sandboxes as (

    select listed.sandbox_id from listed
    union
    select used.sandbox_id from used

)

select
    sandboxes.sandbox_id,
    coalesce(owners.external_user_id, last_users.external_user_id) as external_user_id,
    listed.created_at_utc,
    listed.is_there as is_listed,
    used.first_started_at_utc,
    used.last_end_at_utc
from sandboxes
left join listed on sandboxes.sandbox_id = listed.sandbox_id
left join owners on sandboxes.sandbox_id = owners.sandbox_id
left join used on sandboxes.sandbox_id = used.sandbox_id
left join last_users on sandboxes.sandbox_id = last_users.sandbox_id
