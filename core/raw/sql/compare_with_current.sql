-- Compares each key's first row with the current version of the key in raw.
-- Grain: `found` has one row per key that raw holds; `compared` one per such key that is neither void nor contested.
-- The hash finds candidates by one narrow column; the key itself decides.
create or replace temp table candidates as
select history.row_id
from history
where history.row_hash in (select firsts.row_hash from firsts);

create or replace temp table found as
select
    firsts.sequence,
    history.load_id, history.row_number, history.is_void, history.http_status,
    history.started_at_utc, history.ended_at_utc, history.payload
from history
inner join firsts using (row_hash, row_key, has_id)
where history.row_id in (select candidates.row_id from candidates)
qualify row_number() over (partition by firsts.sequence order by history.load_id desc, history.row_number desc) = 1;

create or replace temp table compared as
select
    found.sequence,
    sequenced.load_number,
    sequenced.place,
    (found.http_status is not distinct from staged.http_status) as is_comparable,
    is_comparable and (found.http_status is not distinct from 404 or found.payload = staged.payload) as is_same,
    case when not is_same and is_comparable then found.payload end as current_payload
from found
inner join sequenced using (sequence)
inner join staged on sequenced.load_number = staged.load_number and sequenced.place = staged.place
where not found.is_void and found.sequence not in (select contested.sequence from contested);

insert into unchanged
select sequence
from compared
where is_same
