-- Purpose: whose sandbox it is, for sessions that do not say so themselves (rule 9).
-- Grain: one row a sandbox with a known owner. The newest known owner counts; an owner that a later answer no longer
-- names stays known.

with

sandboxes as (

    select * from {{ ref("stg_miosa__sandboxes") }}

)

select
    sandboxes.sandbox_id,
    sandboxes.external_user_id
from sandboxes
where
    sandboxes.rejection_reason is null
    and sandboxes.external_user_id is not null
qualify
    row_number() over (
        partition by sandboxes.sandbox_id order by sandboxes.load_id desc, sandboxes.row_number desc
    ) = 1
