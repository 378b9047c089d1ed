-- Writes the rows of loads that land.
-- $2: run; $13: version; all others a list each, in the order of the columns of raw.loads. Grain: one row per load.
insert into raw.loads
select
    unnest($1::bigint[]), $2, unnest($3::varchar[]), unnest($4::timestamp[]), unnest($5::timestamp[]),
    unnest($6::timestamp[]), unnest($7::timestamp[]), unnest($8::bigint[]), unnest($9::bigint[]),
    unnest($10::bigint[]), unnest($11::bigint[]), unnest($12::bigint[]), $13
