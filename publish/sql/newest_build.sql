-- The run of dbt that made the marts, and when it ended; when it began if it did not end. One row; none if no run is recorded.
select build_id, coalesce(ended_at_utc, started_at_utc)
from marts.rpt_builds
where is_deciding
