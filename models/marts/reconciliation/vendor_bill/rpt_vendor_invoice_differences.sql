-- Purpose: where the difference of a vendor's invoice can come from: the days and users for which our usage and the vendor's spends differ.
-- Grain: one row per invoice with a difference, UTC day and user (invoice_id, booked_date, external_user_id). Only days that differ; if
--        the key may not read transactions, all days with usage.

with

invoices as (

    select * from {{ ref("rpt_vendor_invoices") }}
    where status = 'mismatch'

),

transactions as (

    select * from {{ ref("fct_vendor_transactions") }}
    where kind = 'spent'

),

usage as (

    select * from {{ ref("int_booked_usage") }}

),

reading as (

    select count(*) = 0 as has_transactions from {{ ref("rpt_unavailable_sources") }}
    where
        source = 'credit_transactions'
        and read_at_utc is null

),

invoice_usage as (

    select
        invoices.invoice_id,
        usage.booked_at_utc::date as booked_date,
        usage.sandbox_id,
        usage.external_user_id,
        {{ nano_to_credits(wide_sum("usage.nano_credits")) }} as credits
    from usage
    inner join invoices
        on
            usage.booked_at_utc >= invoices.period_start_at_utc
            and usage.booked_at_utc < invoices.period_end_at_utc
    group by invoices.invoice_id, usage.booked_at_utc::date, usage.sandbox_id, usage.external_user_id

),

sandbox_users as (

    -- Whose usage on a sandbox is, our sessions know better than the list of sandboxes, which lacks computers.
    select
        invoice_usage.invoice_id,
        invoice_usage.booked_date,
        invoice_usage.sandbox_id,
        min(invoice_usage.external_user_id) as external_user_id
    from invoice_usage
    where invoice_usage.sandbox_id is not null
    group by invoice_usage.invoice_id, invoice_usage.booked_date, invoice_usage.sandbox_id

),

both_sides as (

    select
        invoice_usage.invoice_id,
        invoice_usage.booked_date,
        -- Without a sandbox, a booking does not tell whose usage it is.
        case
            when invoice_usage.sandbox_id is null and reading.has_transactions then '{{ unattributed() }}'
            else invoice_usage.external_user_id
        end as external_user_id,
        invoice_usage.credits as our_credits,
        0::decimal(38, 9) as vendor_credits
    from invoice_usage
    cross join reading
    union all
    select
        invoices.invoice_id,
        transactions.booked_date,
        coalesce(sandbox_users.external_user_id, transactions.external_user_id) as external_user_id,
        0::decimal(38, 9) as our_credits,
        -transactions.credits as vendor_credits
    from transactions
    inner join invoices
        on
            transactions.booked_at_utc >= invoices.period_start_at_utc
            and transactions.booked_at_utc < invoices.period_end_at_utc
    left join sandbox_users
        on
            invoices.invoice_id = sandbox_users.invoice_id
            and transactions.booked_date = sandbox_users.booked_date
            and transactions.sandbox_id = sandbox_users.sandbox_id

),

sums as (

    select
        both_sides.invoice_id,
        both_sides.booked_date,
        both_sides.external_user_id,
        sum(both_sides.our_credits)::decimal(38, 9) as our_credits,
        sum(both_sides.vendor_credits)::decimal(38, 9) as vendor_credits
    from both_sides
    group by both_sides.invoice_id, both_sides.booked_date, both_sides.external_user_id

)

select
    sums.invoice_id,
    sums.booked_date,
    sums.external_user_id,
    sums.our_credits,
    case when reading.has_transactions then sums.vendor_credits end::decimal(38, 9) as vendor_credits,
    case when reading.has_transactions then sums.vendor_credits - sums.our_credits end::decimal(38, 9) as difference_credits
from sums
cross join reading
where
    sums.vendor_credits <> sums.our_credits
    or (sums.our_credits <> 0 and not reading.has_transactions)
