-- Purpose: from when to when each user owned each sandbox, as far as the vendor's list of sandboxes shows it (rule 15).
-- Grain: one row per user, sandbox and range of time (external_user_id, sandbox_id, owned_from_utc).
-- A sandbox exists from its creation until the start of the first load that no longer lists it, or lists it with the status of one that is
-- gone. If it comes back, it exists again from the start of that load. It belongs to its owner of the time (rule 9).

with

sandboxes as (

    select * from {{ ref("stg_miosa__sandboxes") }}
    where sandbox_id is not null

),

loads as (

    select * from {{ ref("stg_miosa__loads") }}

),

owners as (

    select * from {{ ref("int_sandbox_owners") }}

),

compared as (

    select
        sandboxes.sandbox_id,
        sandboxes.load_id,
        sandboxes.row_number,
        sandboxes.created_at_utc,
        sandboxes.is_there,
        lag(sandboxes.is_there) over (
            partition by sandboxes.sandbox_id order by sandboxes.load_id, sandboxes.row_number
        ) as was_there
    from sandboxes

),

changes as (

    select
        compared.sandbox_id,
        compared.is_there,
        -- LEAST skips nulls: without a time of creation, a sandbox exists from when it was first listed.
        case
            when compared.was_there is null then least(compared.created_at_utc, loads.started_at_utc)
            else loads.started_at_utc
        end as changed_at_utc,
        min(loads.started_at_utc) over (
            partition by compared.sandbox_id
            order by compared.load_id, compared.row_number
            rows between 1 following and unbounded following
        ) as replaced_at_utc
    from compared
    inner join loads on compared.load_id = loads.load_id
    where compared.is_there is distinct from compared.was_there

),

-- LEAST and GREATEST skip nulls, which here stand for no end.
owned as (

    select
        owners.external_user_id,
        changes.sandbox_id,
        greatest(changes.changed_at_utc, owners.valid_from_utc) as owned_from_utc,
        least(changes.replaced_at_utc, owners.valid_to_utc) as owned_to_utc
    from changes
    inner join owners on changes.sandbox_id = owners.sandbox_id
    where changes.is_there

)

select
    owned.external_user_id,
    owned.sandbox_id,
    owned.owned_from_utc,
    owned.owned_to_utc
from owned
where owned.owned_to_utc is null or owned.owned_from_utc < owned.owned_to_utc
