-- Writes the rows of loads that land.
-- $2: run; $13: version; all others a list each, in the order of these columns. Grain: one row per load.
insert into raw.loads (
    load_id, run_id, resource, window_start_at_utc, window_end_at_utc, started_at_utc, ended_at_utc, pages, rows_listed,
    distinct_ids, api_total, rows_added, extractor_version, outcome, http_status
)
select
    unnest($1::bigint[]), $2, unnest($3::varchar[]), unnest($4::timestamp[]), unnest($5::timestamp[]),
    unnest($6::timestamp[]), unnest($7::timestamp[]), unnest($8::bigint[]), unnest($9::bigint[]),
    unnest($10::bigint[]), unnest($11::bigint[]), unnest($12::bigint[]), $13,
    unnest($14::varchar[]), unnest($15::integer[])
