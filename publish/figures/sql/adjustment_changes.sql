-- What is behind each adjustment. One row per adjustment line, session and UTC day that changed, and one without a session per line behind
-- which are plans or prices.
-- $1: the billing period.
select
    changes.external_user_id,
    users.display_name,
    changes.service_period_start_date,
    changes.change_reason,
    changes.session_id,
    changes.usage_date,
    changes.billed_credits,
    changes.known_credits,
    changes.credits,
    changes.change_read_at_utc,
    changes.price_changes,
    changes.invoice_id,
    changes.line_id
from marts.rpt_adjustment_changes as changes
left join marts.dim_users as users on changes.external_user_id = users.external_user_id
where changes.invoice_period = $1
order by
    changes.external_user_id,
    changes.service_period_start_date,
    changes.line_id,
    changes.usage_date nulls first,
    changes.session_id nulls first
