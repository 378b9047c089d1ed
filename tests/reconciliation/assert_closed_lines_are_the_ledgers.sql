-- Rule 25: a closed invoice never changes. What the marts show as closed is the ledger, cell by cell, lines and pieces.
{%- set line_columns = ledger_tables()["closed_invoice_lines"].keys() | join(", ") %}

(
    select {{ line_columns }}
    from {{ ref("fct_invoice_lines") }}
    where status = 'closed'
    except all
    select {{ line_columns }}
    from {{ source("ledger", "closed_invoice_lines") }}
)
union all
(
    select {{ line_columns }}
    from {{ source("ledger", "closed_invoice_lines") }}
    except all
    select {{ line_columns }}
    from {{ ref("fct_invoice_lines") }}
    where status = 'closed'
)
