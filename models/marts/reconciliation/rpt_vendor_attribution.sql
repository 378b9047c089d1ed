-- Purpose: which of the three ways of counting a session that crosses a period's end the vendor seems to use (rule 33):
--          the difference of its figures to ours under each.
-- Grain: one row per complete billing period and user; external_user_id is null for the period's total.

with

comparison as (

    select * from {{ ref("int_vendor_comparison") }}

)

select
    comparison.billing_period,
    comparison.external_user_id,
    comparison.vendor_credits,
    comparison.split_credits,
    comparison.start_credits,
    comparison.end_credits,
    (comparison.split_credits - comparison.vendor_credits)::decimal(38, 9) as split_difference_credits,
    (comparison.start_credits - comparison.vendor_credits)::decimal(38, 9) as start_difference_credits,
    (comparison.end_credits - comparison.vendor_credits)::decimal(38, 9) as end_difference_credits
from comparison
