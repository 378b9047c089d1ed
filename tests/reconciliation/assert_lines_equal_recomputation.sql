-- Rule 27, the central invariant: for every user, service period and currency, closed and open lines together equal the
-- recomputation from today's sessions and prices, to the nano-credit and to the minor unit.
with

lines as (

    select
        external_user_id,
        service_period,
        currency,
        sum(quantity_credits) as credits,
        sum(amount_minor) as amount_minor
    from {{ ref("fct_invoice_lines") }}
    group by external_user_id, service_period, currency

),

recomputed as (

    select
        external_user_id,
        billing_period as service_period,
        currency,
        {{ nano_to_credits("sum(quantity_nano)") }} as credits,
        sum(amount_minor) as amount_minor
    from {{ ref("int_rated_lines") }}
    group by external_user_id, billing_period, currency

)

select
    external_user_id,
    service_period,
    currency,
    lines.credits as line_credits,
    recomputed.credits as recomputed_credits,
    lines.amount_minor as line_amount_minor,
    recomputed.amount_minor as recomputed_amount_minor
from lines
full outer join recomputed using (external_user_id, service_period, currency)
where
    coalesce(lines.credits, 0) <> coalesce(recomputed.credits, 0)
    or coalesce(lines.amount_minor, 0) <> coalesce(recomputed.amount_minor, 0)
