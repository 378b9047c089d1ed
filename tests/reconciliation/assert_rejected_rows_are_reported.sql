-- Rule 7: each rejected current row of sessions and sandboxes stands in the report, and no other.
with

rejected as (

    select
        'usage_sessions' as source,
        load_id,
        row_number,
        rejection_reason as reason
    from {{ ref("stg_miosa__usage_sessions") }}
    where rejection_reason is not null
    union all
    select
        'sandboxes' as source,
        load_id,
        row_number,
        rejection_reason as reason
    from {{ ref("stg_miosa__sandboxes") }}
    where
        rejection_reason is not null
        and is_current

),

reported as (

    select
        source,
        load_id,
        row_number,
        reason
    from {{ ref("rpt_rejected_rows") }}
    where source in ('usage_sessions', 'sandboxes')

)

(
    select * from rejected
    except all
    select * from reported
)
union all
(
    select * from reported
    except all
    select * from rejected
)
