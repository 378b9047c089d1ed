-- Purpose: the difference between the vendor's figures and ours for each of the three ways of counting a session that crosses
--          the end of a period, to find out which way the vendor uses (rule 33).
-- Grain: one row per complete billing period and user (billing_period, external_user_id). external_user_id is null for the
--        period's total.

with

comparison as (

    select * from {{ ref("int_vendor_comparison") }}

)

select
    comparison.billing_period,
    {{ period_start_date("comparison.billing_period") }} as period_start_date,
    comparison.external_user_id,
    comparison.vendor_credits,
    comparison.split_credits,
    comparison.start_credits,
    comparison.end_credits,
    (comparison.split_credits - comparison.vendor_credits)::decimal(38, 9) as split_difference_credits,
    (comparison.start_credits - comparison.vendor_credits)::decimal(38, 9) as start_difference_credits,
    (comparison.end_credits - comparison.vendor_credits)::decimal(38, 9) as end_difference_credits
from comparison
