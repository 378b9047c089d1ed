-- Rule 33: the vendor's rollup (by user) and summary (in total) agree with ours, and its line items with its rollup, within the
-- tolerance, for complete periods.
-- A difference that rejected rows explain is listed, and does not fail (rule 38).
-- If this fails: `select * from marts.rpt_reconciliation where status = 'mismatch'` names the users. If only users with sessions
-- across the end of a period differ, marts.rpt_vendor_attribution shows which way of counting the vendor uses.
select *
from {{ ref("rpt_reconciliation") }}
where
    check_name like '%vendor%'
    and status = 'mismatch'
