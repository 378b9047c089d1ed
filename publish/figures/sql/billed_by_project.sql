-- What the invoices bill for each project. One row per currency, project, workspace, user and line type; null is what belongs to no
-- project, such as fees.
-- $1: the billing period.
select
    shares.external_project_id,
    shares.workspace_id,
    shares.external_user_id,
    any_value(users.display_name) as display_name,
    shares.line_type,
    sum(shares.credits)::decimal(38, 9) as credits,
    shares.currency,
    sum(shares.amount)::decimal(38, 3) as amount
from marts.fct_invoice_breakdown as shares
left join marts.dim_users as users on shares.external_user_id = users.external_user_id
where shares.invoice_period = $1
group by shares.external_project_id, shares.workspace_id, shares.external_user_id, shares.line_type, shares.currency
order by
    shares.external_project_id nulls last,
    shares.workspace_id nulls last,
    shares.external_user_id,
    shares.currency,
    shares.line_type
