-- The fields of the examined rows that are not among the known ones.
-- $1: names of the known fields. Grain: one row per name.
select distinct name
from (
    select unnest(keys) as name
    from key_lists
    union all
    select unnest(try(json_keys(staged.normalized))) as name
    from staged
    inner join examined using (load_number)
    where staged.normalized is not null
) as fields
where not list_contains($1::varchar[], name)
order by name
