-- The table's versions in the form that all resources share. DuckDB reads only the columns that a query needs.
-- Grain: one row per version of a key.
create or replace temp view history as
select
    rowid as row_id, load_id, row_number, row_key, has_id, row_hash, false as is_void, false as is_running,
    null::integer as http_status, null::timestamp as started_at_utc, null::timestamp as ended_at_utc, payload
from raw.credit_transactions
