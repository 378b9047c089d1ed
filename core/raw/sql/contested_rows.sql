-- The rows of keys that are listed with different texts, key by key in the order of landing.
select
    sequenced.row_key, sequenced.has_id, sequenced.row_hash, sequenced.load_number, sequenced.sequence, staged.payload
from contested
inner join firsts using (sequence)
inner join sequenced using (row_hash, row_key, has_id)
inner join staged on sequenced.load_number = staged.load_number and sequenced.place = staged.place
order by sequenced.row_hash, sequenced.row_key, sequenced.has_id, sequenced.sequence
