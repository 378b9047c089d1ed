-- Document numbers run from 1 within each issuer and year, without a gap, and no two invoices share one.
-- depends_on: {{ source("ledger", "closed_invoice_lines") }}
{{ document_number_errors() }}
