-- Stages the rows of pages of which some have a normalized text.
-- $1 to $4: as in stage_rows.sql; $5: the normalized text of each row, or null.
insert into staged
select $1, unnest(range(first, last)), null, null, unnest(string_split(text, chr(30))), unnest($5::varchar[])
from (select $2::bigint as first, $3::bigint as last, $4::varchar as text) as page
