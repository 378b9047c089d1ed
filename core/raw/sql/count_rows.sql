-- Counts rows and keys. Grain: one row per load: rows, ids, rows without an id, keys listed more than once.
with keys as (
    select load_number, row_hash, row_key, has_id, count(*) as times
    from parsed
    group by all
)

select
    load_number,
    sum(times)::bigint,
    count(*) filter (where has_id),
    count(*) filter (where not has_id),
    count(*) filter (where times > 1)
from keys
group by load_number
