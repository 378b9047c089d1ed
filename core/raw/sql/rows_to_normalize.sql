-- The rows of the shapes that find_repeated_keys.sql found, as far as they have no normalized text yet.
select staged.load_number, staged.place, staged.payload
from staged
inner join examined using (load_number)
where
    staged.normalized is null and staged.payload is not null and staged.http_status is distinct from 404
    and exists (select 1 from shapes where shapes.keys is not distinct from try(json_keys(staged.payload)))
