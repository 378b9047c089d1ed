-- Names the loads to examine.
-- A list each: $1 load numbers, $2 starts of reading, $3 ends of windows.
insert into examined
select unnest($1::integer[]), unnest($2::timestamp[]), unnest($3::timestamp[]), null
