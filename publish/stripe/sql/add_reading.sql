-- Lands what was seen of an invoice, unless it is what was seen before. At most one row.
-- $1 to $9: from invoice_id to difference; $10: payload; $11: time.
insert into raw.stripe_documents
select
    (select coalesce(max(rows_before.read_number), 0) + 1 from raw.stripe_documents as rows_before) as read_number,
    seen.*,
    $10::varchar as payload,
    $11::timestamp as seen_at_utc
from (
    select
        $1::varchar as invoice_id,
        $2::varchar as kind,
        $3::varchar as stripe_id,
        $4::varchar as stripe_customer_id,
        $5::varchar as currency,
        $6::varchar as stripe_status,
        $7::bigint as stripe_amount,
        $8::bigint as line_count,
        $9::varchar as difference
) as seen
where
    not exists (
        select 1
        from raw.stripe_documents as before
        where
            before.invoice_id = seen.invoice_id
            and before.read_number = (
                select max(newest.read_number)
                from raw.stripe_documents as newest
                where newest.invoice_id = $1
            )
            and before.stripe_id is not distinct from seen.stripe_id
            and before.stripe_customer_id is not distinct from seen.stripe_customer_id
            and before.currency is not distinct from seen.currency
            and before.stripe_status = seen.stripe_status
            and before.stripe_amount is not distinct from seen.stripe_amount
            and before.line_count is not distinct from seen.line_count
            and before.difference is not distinct from seen.difference
    )
