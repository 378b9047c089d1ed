-- Purpose: every version of each usage session as the vendor sent it, to explain figures. No figure is computed from it.
-- Grain: one row per version of a session (session_id, version_number), which is also one row of raw (load_id, row_number).
-- Few sessions have several versions. Only those are sorted, so that a query for one user does not sort all of raw.
{{ config(materialized="view") }}

with

versions as (

    select * from {{ source("miosa", "usage_sessions") }}
    where has_id

),

repeated as (

    select versions.row_hash
    from versions
    group by versions.row_hash
    having count(*) > 1

),

numbered as (

    select
        versions.load_id,
        versions.row_number,
        row_number() over (
            partition by versions.row_key order by versions.load_id, versions.row_number
        ) as version_number,
        count(*) over (partition by versions.row_key) as version_count
    from versions
    {{ semi_join() }} repeated on versions.row_hash = repeated.row_hash

)

select
    versions.load_id,
    versions.row_number,
    versions.row_key as session_id,
    coalesce(numbered.version_number, 1)::bigint as version_number,
    coalesce(numbered.version_number = numbered.version_count, true) as is_newest,
    versions.is_void,
    versions.payload
from versions
left join numbered
    on
        versions.load_id = numbered.load_id
        and versions.row_number = numbered.row_number
