-- Lands an object of an invoice, unless it is what was seen before; an invoice also once a day, so that it is known when it was read.
-- At most one row. $1 to $11: from invoice_id to payload; $12: time.
insert into raw.stripe_events
select
    (select coalesce(max(rows_before.read_number), 0) + 1 from raw.stripe_events as rows_before) as read_number,
    seen.*
from (
    select
        $1::varchar as invoice_id,
        $2::varchar as stripe_invoice_id,
        $3::varchar as object,
        $4::varchar as stripe_id,
        $5::varchar as status,
        $6::varchar as currency,
        $7::bigint as stripe_amount,
        $8::bigint as credited_amount,
        $9::timestamp as due_at_utc,
        $10::timestamp as happened_at_utc,
        $11::varchar as payload,
        $12::timestamp as seen_at_utc
) as seen
where
    not exists (
        select 1
        from raw.stripe_events as before
        where
            before.invoice_id = seen.invoice_id
            and before.stripe_id = seen.stripe_id
            and before.read_number = (
                select max(newest.read_number)
                from raw.stripe_events as newest
                where newest.invoice_id = $1 and newest.stripe_id = $4
            )
            and before.payload = seen.payload
            and (before.object <> 'invoice' or before.seen_at_utc::date = seen.seen_at_utc::date)
    )
