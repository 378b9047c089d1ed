-- Stages answers that are one row each.
-- $1: load number; then a list each: $2 places, $3 keys, $4 HTTP statuses, $5 texts, $6 normalized texts.
insert into staged
select
    $1, unnest($2::bigint[]), unnest($3::varchar[]), unnest($4::integer[]), unnest($5::varchar[]), unnest($6::varchar[])
