-- All versions of one key, oldest first.
-- $1: row hash; $2: row key; $3: whether the key is an id.
select load_id, payload, is_void
from history
where row_hash = $1 and row_key = $2 and has_id = $3
order by load_id, row_number
