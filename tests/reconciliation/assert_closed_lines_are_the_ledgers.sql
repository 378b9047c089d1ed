-- Rule 25: a closed invoice never changes. The closed lines in the marts, and their line usage, equal the ledger cell by cell.
{%- set line_columns = ledger_tables()["closed_invoice_lines"].keys() | join(", ") %}
{%- set usage_columns = [
    "line_id", "session_id", "usage_date", "credits", "usage_seconds", "sandbox_id", "external_project_id", "workspace_id",
] | join(", line_usage.") %}

with

shown_lines as (

    select {{ line_columns }}
    from {{ ref("fct_invoice_lines") }}
    where status = 'closed'

),

ledger_lines as (

    select {{ line_columns }}
    from {{ source("ledger", "closed_invoice_lines") }}

),

first_shares as (

    select min(invoice_period) as invoice_period
    from {{ source("ledger", "closed_line_usage") }}
    where amount is not null

),

shown_usage as (

    -- Shares of periods that were closed before the ledger had shares are worked out today, from what is in the ledger.
    select
        line_usage.{{ usage_columns }},
        case when line_usage.invoice_period >= first_shares.invoice_period then line_usage.amount end as amount
    from {{ ref("fct_invoice_line_usage") }} as line_usage
    cross join first_shares
    where line_usage.line_id in (select shown_lines.line_id from shown_lines)

),

ledger_usage as (

    select
        line_usage.{{ usage_columns }},
        line_usage.amount
    from {{ source("ledger", "closed_line_usage") }} as line_usage

)

{% set tables = ["lines"] if tests_changed_only() else ["lines", "usage"] %}
{% for table in tables %}
{% for one, other in [("shown", "ledger"), ("ledger", "shown")] %}
select
    '{{ table }} only {{ one }}' as difference,
    line_id
from (
    select * from {{ one }}_{{ table }}
    except all
    select * from {{ other }}_{{ table }}
)
{{ "union all" if not loop.last }}
{% endfor %}
{{ "union all" if not loop.last }}
{% endfor %}
