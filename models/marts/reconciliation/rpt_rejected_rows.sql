-- Purpose: every current row of the vendor's that could not be used, why, and the row as it came (rule 7).
-- Grain: one row a rejected raw row (source, load_id, row_number; of a rollup, its line).

with

loads as (

    select * from {{ ref("stg_miosa__loads") }}

),

rejected as (

    select
        staged.load_id,
        'usage_sessions' as source,
        staged.session_id as row_id,
        staged.rejection_reason as reason,
        staged.rejected_payload as payload,
        staged.row_number
    from {{ ref("stg_miosa__usage_sessions") }} as staged
    where staged.rejection_reason is not null
    union all
    select
        staged.load_id,
        'sandboxes' as source,
        staged.sandbox_id as row_id,
        staged.rejection_reason as reason,
        raw_rows.payload,
        staged.row_number
    from {{ ref("stg_miosa__sandboxes") }} as staged
    inner join {{ source("raw", "sandboxes") }} as raw_rows
        on
            staged.load_id = raw_rows.load_id
            and staged.row_number = raw_rows.row_number
    where
        staged.rejection_reason is not null
        and staged.is_current
    union all
    select
        staged.load_id,
        'quotas' as source,
        staged.external_user_id as row_id,
        staged.rejection_reason as reason,
        raw_rows.payload,
        staged.row_number
    from {{ ref("stg_miosa__quotas") }} as staged
    inner join {{ source("raw", "quotas") }} as raw_rows
        on
            staged.load_id = raw_rows.load_id
            and staged.row_number = raw_rows.row_number
    where
        staged.rejection_reason is not null
        and staged.is_current
    union all
    select
        staged.load_id,
        'usage_rollups' as source,
        staged.external_user_id as row_id,
        staged.rejection_reason as reason,
        staged.payload,
        staged.line_number as row_number
    from {{ ref("stg_miosa__usage_rollups") }} as staged
    where staged.rejection_reason is not null
    union all
    select
        staged.load_id,
        'usage_summaries' as source,
        staged.billing_period as row_id,
        staged.rejection_reason as reason,
        raw_rows.payload,
        staged.row_number
    from {{ ref("stg_miosa__usage_summaries") }} as staged
    inner join {{ source("raw", "usage_summaries") }} as raw_rows
        on
            staged.load_id = raw_rows.load_id
            and staged.row_number = raw_rows.row_number
    where staged.rejection_reason is not null

)

select
    rejected.load_id,
    rejected.source,
    rejected.row_id,
    rejected.reason,
    rejected.payload,
    loads.ended_at_utc as loaded_at_utc,
    rejected.row_number
from rejected
inner join loads on rejected.load_id = loads.load_id
