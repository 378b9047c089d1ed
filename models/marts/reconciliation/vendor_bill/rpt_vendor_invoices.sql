-- Purpose: each invoice that the vendor sends to the platform, beside our credits in exactly its period.
-- Grain: one row per invoice of the vendor's (invoice_id). No row if the key may not read invoices.
-- 1 credit is 1 US cent, and amounts are whole cents: so our credits are rounded once, half away from zero, before they are compared.

with

invoices as (

    select * from {{ ref("stg_miosa__billing_invoices") }}
    where rejection_reason is null

),

invoice_credits as (

    select
        invoice_id,
        {{ nano_to_credits(wide_sum("nano_credits")) }} as credits
    from {{ ref("int_vendor_invoice_credits") }}
    group by invoice_id

),

periods as (

    select * from {{ ref("int_usage_periods") }}

),

newest_load as (

    select max(started_at_utc) as started_at_utc from {{ ref("stg_miosa__loads") }}
    where resource = 'usage_sessions'

),

coverage as (

    -- Our sessions were read completely, after the invoice's period ended (rule 34).
    select
        invoices.invoice_id,
        bool_and(periods.is_complete)
        and min(periods.period_start_at_utc) <= any_value(invoices.period_start_at_utc)
        and max(periods.period_end_at_utc) >= any_value(invoices.period_end_at_utc) as is_covered
    from invoices
    inner join periods
        on
            invoices.period_start_at_utc < periods.period_end_at_utc
            and invoices.period_end_at_utc > periods.period_start_at_utc
    group by invoices.invoice_id

),

judged as (

    select
        invoices.*,
        case
            when invoices.invoice_status = 'void' then 'void'
            when coalesce(invoices.currency, '') <> 'USD' then 'other_currency'
            when coalesce(invoices.period_start_at_utc >= invoices.period_end_at_utc, true) then 'no_period'
            when not coalesce(coverage.is_covered and invoices.period_end_at_utc <= newest_load.started_at_utc, false) then 'not_read'
        end as not_compared_reason,
        coalesce(invoice_credits.credits, 0) as credits
    from invoices
    cross join newest_load
    left join coverage on invoices.invoice_id = coverage.invoice_id
    left join invoice_credits on invoices.invoice_id = invoice_credits.invoice_id

),

compared as (

    select
        judged.*,
        case when judged.not_compared_reason is null then judged.credits end::decimal(38, 9) as our_credits,
        case when judged.not_compared_reason is null then round(judged.credits, 0) end::decimal(38, 9) as our_amount_credits,
        {{ number_variable("vendor_invoice_tolerance_credits") }}::decimal(38, 9) as tolerance_credits
    from judged

)

select
    compared.invoice_id,
    compared.invoice_number,
    compared.invoice_status,
    compared.currency,
    compared.period_start_at_utc,
    compared.period_end_at_utc,
    compared.due_at_utc,
    compared.due_credits::decimal(38, 9) as vendor_credits,
    compared.paid_credits::decimal(38, 9) as vendor_paid_credits,
    compared.our_credits,
    (compared.due_credits - compared.our_amount_credits)::decimal(38, 9) as difference_credits,
    compared.tolerance_credits,
    case
        when compared.not_compared_reason is not null then compared.not_compared_reason
        when abs(compared.due_credits - compared.our_amount_credits) <= compared.tolerance_credits then 'ok'
        else 'mismatch'
    end as status
from compared
