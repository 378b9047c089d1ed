-- The windows of the loads that note_unsettled.sql noted. Grain: one row per window.
select distinct loads.window_start_at_utc, loads.window_end_at_utc
from raw.noted_loads as noted
inner join raw.loads as loads using (load_id)
where noted.reason = 'unsettled' and loads.window_start_at_utc is not null
order by loads.window_start_at_utc
