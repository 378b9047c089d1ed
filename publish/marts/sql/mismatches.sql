-- How many comparisons of the reconciliation do not add up in the copy. One row.
select count(*)
from marts.rpt_reconciliation
where status = 'mismatch'
