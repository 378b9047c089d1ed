-- Purpose: the vendor's newest answer about each user's quota, as it came.
-- Grain: one row per user whose quota the extractor requested (external_user_id).
-- A view, so that `publish quotas` sees an answer that it landed itself before the next build.
{{ config(materialized="view") }}

with

versions as (

    select * from {{ source("miosa", "quotas") }}

)

select
    versions.row_key as external_user_id,
    versions.load_id,
    versions.http_status,
    -- The body of a 404 is not read, because it may not be JSON.
    case when versions.http_status <> 404 then coalesce(versions.payload_normalized, versions.payload) end as answer
from versions
qualify
    row_number() over (
        partition by versions.row_hash, versions.row_key order by versions.load_id desc, versions.row_number desc
    ) = 1
