-- Purpose: which parts of the platform's own account could not be read, since when, and which reports lack them.
-- Grain: one row per part that the newest run could not read, or that was never read (source).
{%- set sources = [
    ("credit_balances", "rpt_vendor_balance, rpt_platform_runway"),
    ("credit_transactions", "rpt_vendor_balance, fct_vendor_transactions, rpt_vendor_invoice_differences"),
    ("billing_invoices", "rpt_vendor_invoices, rpt_vendor_invoice_differences"),
    ("billing_overviews", "rpt_platform_runway"),
] %}

with

loads as (

    select * from {{ ref("stg_miosa__loads") }}

),

sources as (

    {% for source, reports in sources %}
    select
        '{{ source }}' as source,
        '{{ reports }}' as reports
    {{ "union all" if not loop.last }}
    {%- endfor %}

),

states as (

    select
        sources.source,
        sources.reports,
        coalesce({{ value_at_highest("loads.outcome", "loads.load_id") }} = 'not allowed', false) as is_refused,
        {{ value_at_highest("loads.http_status", "loads.load_id") }} as http_status,
        max(loads.ended_at_utc) as tried_at_utc,
        max(case when loads.outcome is distinct from 'not allowed' then loads.ended_at_utc end) as read_at_utc
    from sources
    left join loads on sources.source = loads.resource
    group by sources.source, sources.reports

)

select
    states.source,
    case when states.is_refused then 'not_allowed' else 'never_read' end as reason,
    states.http_status,
    states.tried_at_utc,
    states.read_at_utc,
    states.reports
from states
where
    states.tried_at_utc is null
    or states.is_refused
