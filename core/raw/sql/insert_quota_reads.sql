-- Notes whose quota a landing read unchanged. Grain: one row per load and user.
insert into raw.quota_reads
select distinct sequenced.load_id, sequenced.row_key
from sequenced
where sequenced.sequence not in (select chosen.sequence from chosen)
