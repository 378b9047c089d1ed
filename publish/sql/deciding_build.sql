-- The run of dbt that decides whether the marts are proven, and what was landed since. One row; none if no run is recorded.
select command, status, started_at_utc, failure_count, is_proven, newer_load_count, newer_quota_load_count
from marts.rpt_builds
where is_deciding
