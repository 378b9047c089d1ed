-- What a copy of unproven marts has besides: readers of a list of tables see it, whatever tool they use. One row.
create table published.marts.not_proven as
select
    $reason::varchar as reason,
    $build_id::varchar as build_id
