-- Finds shapes of rows (lists of their JSON keys) that have a key twice or cannot be read; only their rows have to be
-- looked at one by one. Returns whether there is such a shape.
-- Grain: `key_lists` has one row per shape of the loads at hand.
-- Grouped by the JSON text of the shape: comparing lists of texts row by row took three times as long.
create or replace temp table key_lists as
select any_value(keys) as keys
from (
    select try(json_keys(staged.payload)) as keys
    from staged
    inner join examined using (load_number)
    where staged.normalized is null and staged.payload is not null and staged.http_status is distinct from 404
) as row_shapes
group by to_json(keys);

create or replace temp table shapes as
select keys
from key_lists
where keys is null or list_unique(keys) <> len(keys);

select count(*) > 0 from shapes
