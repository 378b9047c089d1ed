-- Purpose: when each user first ran each sandbox, numbered in that order (rule 15).
-- Grain: one row per user and sandbox (external_user_id, sandbox_id).

with

first_starts as (

    select
        external_user_id,
        sandbox_id,
        min(first_started_at_utc) as first_started_at_utc
    from {{ ref("int_sandbox_periods") }}
    group by external_user_id, sandbox_id

)

select
    first_starts.external_user_id,
    first_starts.sandbox_id,
    first_starts.first_started_at_utc,
    row_number() over (
        partition by first_starts.external_user_id
        order by first_starts.first_started_at_utc, first_starts.sandbox_id
    ) as sandbox_number
from first_starts
