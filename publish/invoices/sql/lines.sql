-- The lines of the documents, in the order in which they are printed. One row per line.
create or replace temp table document_lines as
with

corrected as (

    -- The documents that an adjustment corrects: those of the same currency, else (after a change of currency) all of that period.
    select
        lines.line_id,
        coalesce(
            string_agg(invoices.document_number, ', ' order by invoices.document_number) filter (where invoices.currency = lines.currency),
            string_agg(invoices.document_number, ', ' order by invoices.document_number)
        ) as document_numbers
    from marts.fct_invoice_lines as lines
    inner join documents on lines.invoice_id = documents.invoice_id
    inner join marts.fct_invoices as invoices
        on
            lines.external_user_id = invoices.external_user_id
            and lines.service_period = invoices.invoice_period
    where lines.line_type = 'adjustment'
    group by lines.line_id

)

select
    documents.ordinal,
    lines.line_id,
    lines.invoice_period,
    lines.line_type,
    lines.service_period,
    lines.description,
    lines.quantity_credits,
    lines.unit_price,
    lines.amount_minor,
    lines.amount,
    lines.currency_exponent,
    row_number() over (
        partition by documents.ordinal
        order by
            lines.line_type = 'adjustment',
            lines.price_valid_from,
            lines.plan_id,
            list_position(['fee', 'included', 'usage', 'minimum', 'adjustment'], lines.line_type),
            lines.tier_from_credits,
            lines.service_period,
            lines.line_id
    ) as line_number,
    corrected.document_numbers as corrected_document_numbers,
    -- By name, because the mart of an earlier version does not have the columns.
    case when lines.line_type = 'adjustment' then to_json(lines) ->> 'adjustment_reasons' end as adjustment_reasons,  -- noqa: RF02
    case when lines.line_type = 'adjustment' then to_json(lines) ->> 'price_changes' end as price_changes  -- noqa: RF02
from marts.fct_invoice_lines as lines
inner join documents on lines.invoice_id = documents.invoice_id
left join corrected on lines.line_id = corrected.line_id
