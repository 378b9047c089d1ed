-- The sessions that a landing voids. Grain: one row per session.
create or replace temp view changed_sessions as
select started_at_utc as started, ended_at_utc as ended from unlisted
