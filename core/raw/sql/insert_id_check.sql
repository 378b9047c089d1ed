-- Notes which key makes pseudonyms, once per file.
-- $1: the check value of the key.
insert into raw.settings
select 'id_hash_check', $1
where not exists (select 1 from raw.settings where name = 'id_hash_check')
