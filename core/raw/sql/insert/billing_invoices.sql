-- Adds the chosen rows. Grain: one row per new version of a key.
insert into raw.billing_invoices
select
    sequenced.load_id, sequenced.place + 1, sequenced.row_key, sequenced.has_id, sequenced.row_hash,
    staged.payload, staged.normalized
from sequenced
inner join staged on sequenced.load_number = staged.load_number and sequenced.place = staged.place
where sequenced.sequence in (select chosen.sequence from chosen)
