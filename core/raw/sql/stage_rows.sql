-- Stages the rows of pages.
-- $1: load number; $2, $3: first place, and the one after the last; $4: the rows' texts, with chr(30) between them;
-- $5: the normalized text of each row, or null; null instead of the list if no row has one.
-- The values come from a subquery, because functions of parameters alone are folded into a constant, one boxed value
-- per row: that took more than twice as long.
insert into staged
select $1, unnest(range(first, last)), null, null, unnest(string_split(text, chr(30))), unnest($5::varchar[])
from (select $2::bigint as first, $3::bigint as last, $4::varchar as text) as page
