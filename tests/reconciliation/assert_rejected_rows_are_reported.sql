-- Rule 7: the report has each rejected current row, and no other row.
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
    union all
    select
        'quotas' as source,
        load_id,
        row_number,
        rejection_reason as reason
    from {{ ref("stg_miosa__quotas") }}
    where
        rejection_reason is not null
        and is_current
    union all
    select
        'usage_rollups' as source,
        load_id,
        line_number as row_number,
        rejection_reason as reason
    from {{ ref("stg_miosa__usage_rollups") }}
    where rejection_reason is not null
    union all
    select
        'usage_line_items' as source,
        load_id,
        item_number as row_number,
        rejection_reason as reason
    from {{ ref("int_usage_line_items") }}
    where rejection_reason is not null
    union all
    select
        'usage_summaries' as source,
        load_id,
        row_number,
        rejection_reason as reason
    from {{ ref("stg_miosa__usage_summaries") }}
    where rejection_reason is not null
    union all
    select
        'credit_transactions' as source,
        load_id,
        row_number,
        rejection_reason as reason
    from {{ ref("stg_miosa__credit_transactions") }}
    where rejection_reason is not null
    union all
    select
        'credit_balances' as source,
        load_id,
        row_number,
        rejection_reason as reason
    from {{ ref("stg_miosa__credit_balances") }}
    where
        rejection_reason is not null
        and is_current
    union all
    select
        'billing_invoices' as source,
        load_id,
        row_number,
        rejection_reason as reason
    from {{ ref("stg_miosa__billing_invoices") }}
    where rejection_reason is not null

),

reported as (

    select
        source,
        load_id,
        row_number,
        reason
    from {{ ref("rpt_rejected_rows") }}

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
