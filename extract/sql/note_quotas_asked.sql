-- Notes whose quota a landing asked for, until the run is finished. Grain: one row per answer.
insert into raw.quota_progress
select staged.given_key, examined.started_at
from staged
inner join examined using (load_number)
where examined.load_id is not null
