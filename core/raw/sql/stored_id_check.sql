-- Which key made the pseudonyms in the file (null: it holds plain ids), and whether it holds any load. One row.
select
    (select any_value(value) from raw.settings where name = 'id_hash_check') as stored,
    exists(select 1 from raw.loads) as has_loads
