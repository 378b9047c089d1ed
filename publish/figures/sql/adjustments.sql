-- Every adjustment of an earlier month. One row per adjustment line.
-- $1: the billing period.
select
    lines.external_user_id,
    users.display_name,
    lines.service_period_start_date,
    -- Null where an adjustment was closed before reasons were kept.
    coalesce(lines.adjustment_reasons, 'not_recorded') as adjustment_reasons,
    lines.price_changes,
    lines.quantity_credits as credits,
    lines.currency,
    lines.amount,
    lines.invoice_id,
    lines.line_id
from marts.fct_invoice_lines as lines
left join marts.dim_users as users on lines.external_user_id = users.external_user_id
where lines.invoice_period = $1 and lines.line_type = 'adjustment'
order by lines.external_user_id, lines.service_period_start_date, lines.currency
