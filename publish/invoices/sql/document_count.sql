-- How many documents there are, and how many of them name no issuer. One row.
select
    count(*) as document_count,
    count(*) filter (where issuer_id is null) as without_issuer_count
from documents
