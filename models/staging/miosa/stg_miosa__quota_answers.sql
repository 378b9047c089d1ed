-- Purpose: the newest answer of the vendor about each user's quota, as it came. A view, so that an answer that `publish quotas`
--          lands after a change counts before the next build.
-- Grain: one row per user of whom the vendor was asked (external_user_id).
{{ config(materialized="view") }}

with

versions as (

    select * from {{ source("miosa", "quotas") }}

)

select
    versions.row_key as external_user_id,
    versions.load_id,
    versions.http_status,
    -- What a 404 says besides is not read: it may be no JSON.
    case when versions.http_status <> 404 then coalesce(versions.payload_normalized, versions.payload) end as answer
from versions
qualify
    row_number() over (
        partition by versions.row_hash, versions.row_key order by versions.load_id desc, versions.row_number desc
    ) = 1
