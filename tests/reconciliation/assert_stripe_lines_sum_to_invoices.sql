-- Purpose: an invoice comes to its own total at Stripe, rounded once: what one line gains by rounding, another one loses.
-- Grain: one row per closed invoice whose lines at Stripe do not sum to its amount. Compared in thousandths of the currency unit.

with

invoices as (

    select * from {{ ref("fct_invoices") }}
    where status = 'closed' and amount_minor <> 0

),

lines as (

    select * from {{ ref("fct_stripe_lines") }}

),

sums as (

    select
        lines.invoice_id,
        sum(lines.amount_minor) as amount_minor,
        sum(
            lines.stripe_amount * case lines.stripe_exponent when 0 then 1000 when 1 then 100 when 2 then 10 else 1 end
        )::bigint as thousandths,
        max(case when lines.currency = 'MGA' then 1000 when lines.stripe_exponent = 3 then 10 else 1 end)::bigint as unit
    from lines
    group by lines.invoice_id

),

compared as (

    select
        coalesce(invoices.invoice_id, sums.invoice_id) as invoice_id,
        invoices.amount_minor,
        sums.amount_minor as lines_amount_minor,
        (invoices.amount * 1000)::bigint as invoice_thousandths,
        sums.thousandths,
        sums.unit
    from invoices
    full outer join sums on invoices.invoice_id = sums.invoice_id

)

select compared.*
from compared
where
    compared.lines_amount_minor is distinct from compared.amount_minor
    or compared.thousandths is distinct from
    case when compared.invoice_thousandths < 0 then -1 else 1 end
    * {{ whole_quotient("(abs(compared.invoice_thousandths) * 2 + compared.unit)", "(2 * compared.unit)") }} * compared.unit
