-- Every invoice line. One row per line.
-- $1: the billing period.
select
    lines.external_user_id,
    users.display_name,
    lines.service_period_start_date,
    lines.line_type,
    lines.description,
    lines.plan_id,
    lines.price_valid_from,
    lines.tier_from_credits,
    lines.quantity_credits as credits,
    lines.unit_price,
    lines.currency,
    lines.amount,
    lines.invoice_id,
    lines.line_id
from marts.fct_invoice_lines as lines
left join marts.dim_users as users on lines.external_user_id = users.external_user_id
where lines.invoice_period = $1
order by
    lines.external_user_id asc,
    lines.currency asc,
    lines.service_period_start_date desc,
    list_position(['fee', 'included', 'usage', 'minimum', 'adjustment'], lines.line_type) asc,
    lines.price_valid_from asc,
    lines.tier_from_credits asc,
    lines.line_id asc
