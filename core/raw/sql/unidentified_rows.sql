-- The rows without a usable id, in the order of their lists. Grain: one row per load and place.
select parsed.load_number, parsed.place, staged.payload
from parsed
inner join staged using (load_number, place)
where not parsed.has_id
order by parsed.load_number, parsed.place
