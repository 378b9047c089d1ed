-- Notes which sessions this run has listed. Grain: one row per key of a landing.
insert into raw.listed_sessions
select firsts.row_hash, firsts.row_key, firsts.has_id
from firsts
