-- The days of rpt_vendor_balance have no gap, each opens with what the day before closed with, and the last one closes with all
-- bookings that can be used.
with

days as (

    select
        balance_date,
        opening_credits,
        closing_credits,
        lag(balance_date) over (order by balance_date) as previous_date,
        lag(closing_credits) over (order by balance_date) as previous_closing_credits,
        row_number() over (order by balance_date desc) as place_from_end
    from {{ ref("rpt_vendor_balance") }}

),

booked as (

    select coalesce(sum(credits), 0) as credits
    from {{ ref("fct_vendor_transactions") }}

)

select days.balance_date
from days
cross join booked
where
    days.balance_date <> days.previous_date + 1
    or days.opening_credits <> coalesce(days.previous_closing_credits, {{ amount_variable("vendor_opening_balance_credits") }})
    or (days.place_from_end = 1 and days.closing_credits <> {{ amount_variable("vendor_opening_balance_credits") }} + booked.credits)
