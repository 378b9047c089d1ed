-- The ledger is append-only: of each closed period, its lines and their usage are still those that were frozen, by their counts,
-- totals and checksum (in a monthly build, which touches no ledger, by those of its lines); every line belongs to a closed
-- period; and periods follow each other without a gap (rule 23).
-- depends_on: {{ source("ledger", "closed_periods") }}
-- depends_on: {{ source("ledger", "closed_invoice_lines") }}
-- depends_on: {{ source("ledger", "closed_line_usage") }}
{{ ledger_errors(with_usage=not tests_changed_only()) }}
