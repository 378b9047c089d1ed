-- Notes a load with an ended session that outlasts the window asked for: only an API that selects by start or by
-- overlap lists one. At most one row per landing.
insert into raw.noted_loads
select any_value(sequenced.load_id), 'crossing'
from sequenced
where
    not sequenced.is_running
    and sequenced.started < sequenced.window_end
    and sequenced.ended > sequenced.window_end + interval 1 second
having count(*) > 0
