-- The ledger is append-only (rule 23). The lines of each closed period, their line usage and its costs are still those that were frozen, by
-- counts, totals and checksum. A partial build, which does not change the ledger, checks the counts and totals of lines and costs only.
-- Every line belongs to a closed period, and periods follow each other without a gap.
-- depends_on: {{ source("ledger", "closed_periods") }}
-- depends_on: {{ source("ledger", "closed_invoice_lines") }}
-- depends_on: {{ source("ledger", "closed_line_usage") }}
-- depends_on: {{ source("ledger", "closed_costs") }}
{{ ledger_errors(with_usage=not tests_changed_only()) }}
