-- The keys that a load lists with more than one text. Grain: one row per load and key.
with repeated as (
    select load_number, row_hash, row_key, has_id
    from parsed
    group by all
    having count(*) > 1
)

select
    repeated.load_number, repeated.row_hash, repeated.row_key, repeated.has_id,
    list(distinct staged.payload) as contents
from repeated
inner join parsed using (load_number, row_hash, row_key, has_id)
inner join staged using (load_number, place)
group by repeated.load_number, repeated.row_hash, repeated.row_key, repeated.has_id
having count(distinct staged.payload) > 1
