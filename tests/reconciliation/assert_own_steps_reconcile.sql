-- Rule 32: raw, staging, session periods, days and user periods have exactly the same credits for each user and period.
select *
from {{ ref("rpt_reconciliation") }}
where
    check_name not like '%vendor%'
    and status <> 'ok'
