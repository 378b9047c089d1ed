-- Documents of a range of ordinals, each with its lines, its credits by day and the text of its CSV. One row per document.
-- $1: the first ordinal; $2: the one after the last.
with

batch as (

    select * from documents
    where ordinal >= $1 and ordinal < $2

),

line_lists as (

    select
        lines.ordinal,
        any_value(lines.currency_exponent) as currency_exponent,
        list(
            struct_pack(
                line_type := lines.line_type,
                service_period := lines.service_period,
                description := lines.description,
                quantity_credits := lines.quantity_credits,
                unit_price := lines.unit_price,
                amount_minor := lines.amount_minor,
                corrected_document_numbers := lines.corrected_document_numbers,
                adjustment_reasons := lines.adjustment_reasons,
                price_changes := lines.price_changes
            ) order by lines.line_number
        ) as lines
    from document_lines as lines
    inner join batch on lines.ordinal = batch.ordinal
    group by lines.ordinal

),

days as (

    -- Days of the invoiced month: what corrects other months is on its lines only.
    select
        document_usage.ordinal,
        day(document_usage.usage_date) as day_of_month,
        sum(document_usage.credits) as credits
    from document_usage
    inner join batch on document_usage.ordinal = batch.ordinal and document_usage.service_period = batch.invoice_period
    where document_usage.usage_date is not null
    group by
        document_usage.ordinal,
        day_of_month

),

day_lists as (

    select
        days.ordinal,
        list(struct_pack(day_of_month := days.day_of_month, credits := days.credits) order by days.day_of_month) as days
    from days
    group by days.ordinal

),

csv_texts as (

    select
        document_usage.ordinal,
        string_agg(
            concat_ws(
                ',',
                coalesce(document_usage.usage_date::varchar, ''),
                coalesce('"' || replace(document_usage.session_id, '"', '""') || '"', ''),
                coalesce('"' || replace(document_usage.external_project_id, '"', '""') || '"', ''),
                coalesce('"' || replace(document_usage.workspace_id, '"', '""') || '"', ''),
                coalesce('"' || replace(document_usage.sandbox_id, '"', '""') || '"', ''),
                document_usage.line_type,
                document_usage.service_period,
                coalesce(document_usage.usage_seconds::varchar, ''),
                document_usage.credits::varchar,
                document_usage.amount::decimal(38, 9)::varchar,
                batch.currency,
                document_usage.line_id
            ),
            chr(10)
            order by document_usage.usage_date nulls last, document_usage.session_id, document_usage.line_number
        ) as csv_rows
    from document_usage
    inner join batch on document_usage.ordinal = batch.ordinal
    group by document_usage.ordinal

)

select
    batch.ordinal,
    batch.invoice_id,
    batch.external_user_id,
    batch.invoice_period,
    batch.currency,
    line_lists.currency_exponent,
    batch.amount_minor,
    batch.credits,
    batch.status,
    batch.closed_at_utc,
    batch.document_number,
    issuers.issuer_id,
    issuers.issuer_name,
    issuers.address as issuer_address,
    issuers.country as issuer_country,
    issuers.tax_id as issuer_tax_id,
    issuers.email as issuer_email,
    issuers.payment_terms,
    issuers.footer,
    customers.customer_name,
    customers.address as customer_address,
    customers.country as customer_country,
    customers.tax_id as customer_tax_id,
    customers.reference as customer_reference,
    line_lists.lines,
    coalesce(day_lists.days, []) as days,
    csv_texts.csv_rows
from batch
inner join line_lists on batch.ordinal = line_lists.ordinal
inner join csv_texts on batch.ordinal = csv_texts.ordinal
left join day_lists on batch.ordinal = day_lists.ordinal
left join marts.dim_issuers as issuers on batch.issuer_id = issuers.issuer_id
left join marts.dim_customers as customers on batch.external_user_id = customers.external_user_id
order by batch.ordinal
