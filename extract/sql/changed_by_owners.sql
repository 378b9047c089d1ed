-- The sessions of sandboxes with a new owner that name no user themselves. Grain: one row per version.
-- Any version will do: a month too many costs two requests.
create or replace temp view changed_sessions as
select sessions.started_at_utc as started, sessions.ended_at_utc as ended
from raw.usage_sessions as sessions
inner join new_owners
    on
        try(json_extract_string(coalesce(sessions.payload_normalized, sessions.payload), '$.computer_id'))
        = new_owners.sandbox_id
        and sessions.started_at_utc >= new_owners.since
where coalesce(sessions.external_user_id, '') = '' and sessions.payload is not null
