-- All versions of one key, oldest first.
-- ?: row hash, row key, whether the key is an id.
select load_id, payload, is_void
from history
where row_hash = ? and row_key = ? and has_id = ?
order by load_id, row_number
