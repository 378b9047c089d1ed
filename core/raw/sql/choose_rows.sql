-- The rows that are new versions: each key's first row, and the other rows of a contested key, unless unchanged.
-- Grain: `chosen` has one row per row to add.
create or replace temp table chosen as
select sequence
from (
    select firsts.sequence
    from firsts
    union all
    select sequenced.sequence
    from contested
    inner join firsts using (sequence)
    inner join sequenced using (row_hash, row_key, has_id)
    where sequenced.sequence <> firsts.sequence
) as listed
where sequence not in (select unchanged.sequence from unchanged)
