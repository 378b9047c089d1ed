-- What each line bills, by UTC day, session and project. One row per line, session and day; one row for a line without usage, so that
-- the rows of a document sum to it.
create or replace temp table document_usage as
select
    lines.ordinal,
    lines.line_number,
    lines.line_id,
    lines.line_type,
    lines.service_period,
    line_usage.usage_date,
    line_usage.session_id,
    line_usage.external_project_id,
    line_usage.workspace_id,
    line_usage.sandbox_id,
    line_usage.usage_seconds,
    coalesce(line_usage.credits, lines.quantity_credits) as credits,
    coalesce(line_usage.amount, lines.amount) as amount
from document_lines as lines
left join marts.fct_invoice_line_usage as line_usage
    on
        lines.line_id = line_usage.line_id
        and lines.invoice_period = line_usage.invoice_period
order by lines.ordinal
