-- Notes which sandboxes this run has listed. Grain: one row per key of a landing.
insert into listed_sandboxes
select firsts.row_hash, firsts.row_key, firsts.has_id
from firsts
