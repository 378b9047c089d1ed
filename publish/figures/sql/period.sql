-- The period as a whole: its state, and how much was used and invoiced. One row.
-- $1: the billing period.
select
    periods.billing_period,
    periods.has_ended,
    periods.is_complete,
    periods.is_closed,
    periods.closed_at_utc,
    (
        select count(*) filter (where usage.is_attributed)
        from marts.fct_user_period_credits as usage
        where usage.billing_period = $1
    ) as user_count,
    (
        select coalesce(sum(usage.session_count), 0)::bigint
        from marts.fct_user_period_credits as usage
        where usage.billing_period = $1
    ) as session_count,
    (
        select coalesce(sum(usage.credits), 0)::decimal(38, 9)
        from marts.fct_user_period_credits as usage
        where usage.billing_period = $1
    ) as credits,
    (
        select coalesce(sum(usage.credits), 0)::decimal(38, 9)
        from marts.fct_user_period_credits as usage
        where usage.billing_period = strftime(($1 || '-01')::date - interval 1 month, '%Y-%m')
    ) as previous_credits,
    (
        select coalesce(sum(usage.provisional_credits), 0)::decimal(38, 9)
        from marts.fct_user_period_credits as usage
        where usage.billing_period = $1
    ) as provisional_credits,
    (select count(*) from marts.fct_invoices as invoices where invoices.invoice_period = $1) as invoice_count,
    (
        select count(*)
        from marts.fct_invoice_lines as lines
        where lines.invoice_period = $1
    ) as line_count
from marts.dim_billing_periods as periods
where periods.billing_period = $1
