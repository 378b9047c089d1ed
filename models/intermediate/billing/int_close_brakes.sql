-- Purpose: whether closing the first open period would change so much that a person must confirm it (rule 36).
-- Grain: one row per brake and currency (brake, currency); currency is null for adjusted_users, which counts all of them.

with

comparisons as (

    select * from {{ ref("int_close_comparisons") }}

)

select
    comparisons.brake,
    comparisons.currency,
    comparisons.billing_period,
    comparisons.measured,
    comparisons.base,
    case comparisons.brake
        when 'adjusted_amount'
            then comparisons.measured * 100000000000 > comparisons.base * {{ credits_to_nano(number_variable("close_brake_percent")) }}
        when 'adjusted_users'
            then
                -- Of fewer users, one or two are a large share.
                comparisons.base >= 10
                and comparisons.measured * 100000000000 > comparisons.base * {{ credits_to_nano(number_variable("close_brake_percent")) }}
        else
            comparisons.base > 0
            and comparisons.measured * 1000000000 > comparisons.base * {{ credits_to_nano(number_variable("close_brake_factor")) }}
    end as is_exceeded,
    comparisons.currency_exponent,
    case comparisons.brake
        when 'adjusted_amount'
            then
                'adjustments in ' || comparisons.currency || ' come to '
                || {{ plain_number(minor_to_decimal("comparisons.measured", "comparisons.currency_exponent")) }}
                || '; the limit is {{ var("close_brake_percent") }} % of the '
                || {{ plain_number(minor_to_decimal("comparisons.base", "comparisons.currency_exponent")) }} || ' closed so far'
        when 'adjusted_users'
            then
                'adjustments change ' || comparisons.measured::string || ' of '
                || comparisons.base::string || ' users with closed lines; the limit is {{ var("close_brake_percent") }} %'
        else
            'the period comes to ' || {{ plain_number(minor_to_decimal("comparisons.measured", "comparisons.currency_exponent")) }}
            || ' ' || comparisons.currency || '; the limit is {{ var("close_brake_factor") }} times '
            || {{ plain_number(minor_to_decimal("comparisons.base", "comparisons.currency_exponent")) }}
            || ', the median of the last three closed periods'
    end as message
from comparisons
