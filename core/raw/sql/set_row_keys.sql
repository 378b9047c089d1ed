-- Gives rows without a usable id their keys.
-- A list each: $1 load numbers, $2 places, $3 keys.
update parsed
set
    row_key = keyed.row_key,
    row_hash = ((md5_number('row:' || keyed.row_key) >> 64)::hugeint - 9223372036854775808)::bigint
from (
    select unnest($1::integer[]) as load_number, unnest($2::bigint[]) as place, unnest($3::varchar[]) as row_key
) as keyed
where parsed.load_number = keyed.load_number and parsed.place = keyed.place
