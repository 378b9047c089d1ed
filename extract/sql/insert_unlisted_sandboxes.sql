-- Adds a row without a payload for each sandbox that this run's list no longer holds. Grain: one row per sandbox.
-- $1: id of the load; $2: how many rows it lists.
-- A sandbox without an id is identified by its content, which says nothing about another content.
insert into raw.sandboxes
select
    $1, $2 + row_number() over (order by current.row_hash, current.row_key), current.row_key, current.has_id,
    current.row_hash, null, null, null
from (
    select row_hash, row_key, has_id, payload
    from raw.sandboxes
    where has_id
    qualify row_number() over (partition by row_hash, row_key order by load_id desc, row_number desc) = 1
) as current
anti join listed_sandboxes
    on
        current.row_hash = listed_sandboxes.row_hash
        and current.row_key = listed_sandboxes.row_key
        and listed_sandboxes.has_id
where current.payload is not null
