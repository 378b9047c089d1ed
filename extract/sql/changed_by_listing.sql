-- The sessions that a landing lists, and the versions that it replaces. Grain: one row per version.
create or replace temp view changed_sessions as
select started, ended from sequenced
union all
select found.started_at_utc, found.ended_at_utc from found inner join chosen using (sequence)
