-- The ledger is append-only: of each closed period, its lines and pieces are still those that were frozen, by their counts,
-- totals and checksum; every line belongs to a closed period; and periods follow each other without a gap (rule 23).
with

totals as (

    {{ ledger_totals() }}

),

amounts as (

    {{ ledger_amounts() }}

),

closed_periods as (

    select
        closed_periods.*,
        lag(closed_periods.billing_period) over (order by closed_periods.billing_period) as previous_period
    from {{ source("ledger", "closed_periods") }} as closed_periods

)

-- depends_on: {{ source("ledger", "closed_invoice_lines") }}
-- depends_on: {{ source("ledger", "closed_line_pieces") }}
select
    coalesce(closed_periods.billing_period, totals.billing_period) as billing_period,
    closed_periods.checksum,
    totals.checksum as checksum_today
from closed_periods
full outer join totals on closed_periods.billing_period = totals.billing_period
left join amounts on closed_periods.billing_period = amounts.billing_period
where
    closed_periods.billing_period is null
    or closed_periods.checksum <> coalesce(totals.checksum, sha256(''))
    or closed_periods.line_count <> coalesce(totals.line_count, 0)
    or closed_periods.piece_count <> coalesce(totals.piece_count, 0)
    or closed_periods.invoice_count <> coalesce(totals.invoice_count, 0)
    or closed_periods.credits <> coalesce(totals.credits, 0)
    or closed_periods.amounts_minor <> coalesce(amounts.amounts_minor, '')
    or closed_periods.previous_period
    <> strftime(strptime(closed_periods.billing_period, '%Y-%m') - interval 1 month, '%Y-%m')
