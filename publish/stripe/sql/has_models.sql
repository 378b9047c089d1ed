-- Whether a build of this version made the marts and the record. One row.
select count(*) = 3
from information_schema.tables
where
    (table_schema = 'marts' and table_name in ('fct_stripe_lines', 'rpt_stripe_reconciliation'))
    or (table_schema = 'ledger' and table_name = 'stripe_documents')
