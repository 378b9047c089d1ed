-- Every comparison that does not agree, explained or not. One row per check and user among the first $2; null is the total of all users.
-- $1: the billing period. $2: how many to list.
select
    check_name,
    status as check_status,
    external_user_id,
    expected_credits,
    actual_credits,
    difference_credits,
    tolerance_credits,
    explained_credits
from marts.rpt_reconciliation
where billing_period = $1 and status <> 'ok'
order by
    case status when 'mismatch' then 0 else 1 end asc,
    abs(difference_credits) desc nulls first,
    check_name asc,
    external_user_id asc nulls first
limit $2
