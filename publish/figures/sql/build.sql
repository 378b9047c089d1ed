-- The run of dbt that made the marts. One row; none if no run is recorded.
select command, status as build_status, build_id, started_at_utc, ended_at_utc, node_count, failure_count
from marts.rpt_builds
where is_deciding
