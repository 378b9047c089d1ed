-- The invoices of a period (or those of the users given) in the order of their documents, with all that a document says about issuer and
-- customer. One row per invoice. All users if none is requested. $1: the period.
create or replace temp table documents as
select
    row_number() over (order by invoices.document_number nulls last, invoices.external_user_id, invoices.currency) as ordinal,
    invoices.invoice_id,
    invoices.external_user_id,
    invoices.invoice_period,
    invoices.currency,
    invoices.amount_minor,
    invoices.credits,
    invoices.status,
    invoices.closed_at_utc,
    invoices.document_number,
    -- The issuer that was frozen; for open invoices, and those that were closed without one, the one in force.
    coalesce(
        invoices.issuer_id,
        (
            select max_by(issuers.issuer_id, issuers.valid_from)
            from marts.dim_issuers as issuers
            where issuers.valid_from <= invoices.invoice_period_start_date
        )
    ) as issuer_id
from marts.fct_invoices as invoices
where
    invoices.invoice_period = $1
    and (
        invoices.external_user_id in (select requested_users.external_user_id from requested_users)
        or not exists (select 1 from requested_users)
    )
