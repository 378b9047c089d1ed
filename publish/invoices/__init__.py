"""`publish invoices`: a PDF and a CSV for each invoice of a period."""
