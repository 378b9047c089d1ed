-- Purpose: the ownership history of each sandbox, for sessions that do not name a user themselves (rule 9).
-- Grain: one row per sandbox and range of time with one owner (sandbox_id, valid_from_utc).
-- A change of owner counts from the start of the load that first showed it. The first known owner also counts for all time
-- before. An owner stays the owner if a later answer names none.

with

sandboxes as (

    select * from {{ ref("stg_miosa__sandboxes") }}
    where
        rejection_reason is null
        and external_user_id is not null

),

loads as (

    select * from {{ ref("stg_miosa__loads") }}

),

compared as (

    select
        sandboxes.sandbox_id,
        sandboxes.load_id,
        sandboxes.row_number,
        sandboxes.external_user_id,
        lag(sandboxes.external_user_id) over (
            partition by sandboxes.sandbox_id order by sandboxes.load_id, sandboxes.row_number
        ) as previous_user_id
    from sandboxes

),

changes as (

    select
        compared.sandbox_id,
        compared.external_user_id,
        compared.load_id,
        compared.row_number,
        compared.previous_user_id is null as is_first,
        loads.started_at_utc as seen_from_utc
    from compared
    inner join loads on compared.load_id = loads.load_id
    where compared.external_user_id is distinct from compared.previous_user_id

),

ranges as (

    select
        changes.sandbox_id,
        changes.external_user_id,
        changes.load_id,
        -- Earlier than any session.
        case when changes.is_first then timestamp '0001-01-01 00:00:00' else changes.seen_from_utc end as valid_from_utc,
        min(changes.seen_from_utc) over (
            partition by changes.sandbox_id
            order by changes.load_id, changes.row_number
            rows between 1 following and unbounded following
        ) as valid_to_utc
    from changes

)

select
    ranges.sandbox_id,
    ranges.external_user_id,
    ranges.valid_from_utc,
    ranges.valid_to_utc,
    ranges.load_id
from ranges
-- If a clock went back between loads, an owner may have been replaced before it was seen. Such an owner never counted.
where ranges.valid_to_utc is null or ranges.valid_from_utc < ranges.valid_to_utc
