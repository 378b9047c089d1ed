-- The users whose documents are requested; empty for all. One row per user.
create or replace temp table requested_users (external_user_id varchar not null)
