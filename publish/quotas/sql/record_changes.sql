-- Records what is about to change at the vendor, or the outcome. Grain: one row per change and event.
-- $2: event; $3: time; $10: version; all others a list each, in the order of the columns of raw.quota_changes.
insert into raw.quota_changes
select
    unnest($1::varchar[]), $2, $3, unnest($4::varchar[]), unnest($5::varchar[]), unnest($6::integer[]),
    unnest($7::varchar[]), unnest($8::boolean[]), unnest($9::varchar[]), $10
