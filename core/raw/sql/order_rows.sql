-- Orders the rows to land, and finds keys that are listed more than once with different texts.
-- Grain: `sequenced` has one row per row to land, numbered by `sequence` in the order of loads; `firsts` one per key
-- (its first row); `contested` one per key with different texts; `unchanged` one per row found to add nothing.
create or replace temp view sequenced as
select
    parsed.*,
    examined.load_id,
    examined.window_end,
    (examined.load_id - (select min(landing.load_id) from examined as landing)) * 1099511627776 + parsed.place as sequence
from parsed
inner join examined using (load_number)
where examined.load_id is not null;

create or replace temp table firsts as
select row_hash, row_key, has_id, min(sequence) as sequence, count(*) as times
from sequenced
group by all;

create or replace temp table contested as
select firsts.sequence
from firsts
inner join sequenced using (row_hash, row_key, has_id)
inner join staged on sequenced.load_number = staged.load_number and sequenced.place = staged.place
where firsts.times > 1
group by firsts.sequence
having count(distinct staged.payload) > 1;

create or replace temp table unchanged (sequence bigint)
