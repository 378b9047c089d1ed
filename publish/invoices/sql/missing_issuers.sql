-- Issuers of closed invoices that are no longer in issuer.csv. One row per issuer.
select
    documents.issuer_id,
    count(*) as document_count
from documents
where
    documents.issuer_id is not null
    and not exists (select 1 from marts.dim_issuers as issuers where issuers.issuer_id = documents.issuer_id)
group by documents.issuer_id
order by documents.issuer_id
