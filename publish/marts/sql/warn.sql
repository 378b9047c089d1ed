-- What a copy of unproven marts has besides: readers of a list of tables see it, whatever tool they use. One row.
-- Variables: unproven, build_id.
create table published.marts.not_proven as
select
    getvariable('unproven')::varchar as reason,
    getvariable('build_id')::varchar as build_id
