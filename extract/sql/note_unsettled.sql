-- Notes loads of sessions whose content differs between windows of this run: for each session its last such load.
-- $1: id of the last load before this run.
insert into raw.noted_loads
select sequenced.load_id, 'unsettled' as reason
from found
inner join chosen using (sequence)
inner join sequenced using (sequence)
where found.load_id > $1
union
select max(sequenced.load_id) as load_id, 'unsettled' as reason
from contested
inner join firsts using (sequence)
inner join sequenced using (row_hash, row_key, has_id)
group by contested.sequence
having min(sequenced.load_id) < max(sequenced.load_id)
