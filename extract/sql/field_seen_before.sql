-- Whether an earlier load has a session with a field. One row.
-- $1: id of the first load that is not earlier; $2: name of the field.
select exists(
    select 1
    from raw.usage_sessions
    where
        load_id < $1 and (contains(payload, $2) or contains(payload, '\u'))
        and list_contains(try(json_keys(coalesce(payload_normalized, payload))), $2)
)
