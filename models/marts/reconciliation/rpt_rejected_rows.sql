-- Purpose: every current row from the vendor that was rejected, with the reason and the row as it came (rule 7).
-- Grain: one row per rejected row of raw, for rollups one row per rejected line, and one per rejected line item of a line
--        (source, load_id, row_number).
{%- set sources = [
    ("usage_sessions", "stg_miosa__usage_sessions", "session_id", "row_number", "true"),
    ("sandboxes", "stg_miosa__sandboxes", "sandbox_id", "row_number", "is_current"),
    ("quotas", "stg_miosa__quotas", "external_user_id", "row_number", "is_current"),
    ("usage_rollups", "stg_miosa__usage_rollups", "external_user_id", "line_number", "true"),
    ("usage_line_items", "int_usage_line_items", "external_user_id", "item_number", "true"),
    ("usage_summaries", "stg_miosa__usage_summaries", "billing_period", "row_number", "true"),
    ("credit_transactions", "stg_miosa__credit_transactions", "transaction_id", "row_number", "true"),
    ("credit_balances", "stg_miosa__credit_balances", "row_key", "row_number", "is_current"),
    ("billing_invoices", "stg_miosa__billing_invoices", "invoice_id", "row_number", "true"),
] %}

with

loads as (

    select * from {{ ref("stg_miosa__loads") }}

),

rejected as (

    {% for source, model_name, row_id, row_number, condition in sources %}
    select
        load_id,
        '{{ source }}' as source,
        {{ row_id }} as row_id,
        rejection_reason as reason,
        rejected_payload as payload,
        {{ row_number }} as row_number
    from {{ ref(model_name) }}
    where rejection_reason is not null and {{ condition }}
    {{ "union all" if not loop.last }}
    {% endfor %}

)

select
    rejected.load_id,
    rejected.source,
    rejected.row_id,
    rejected.reason,
    {{ shown_payload("rejected.payload") }} as payload,
    loads.ended_at_utc as loaded_at_utc,
    rejected.row_number
from rejected
inner join loads on rejected.load_id = loads.load_id
