-- Purpose: the days on which a plan has two price lists, each with a user who is on the plan by then, in words (rule 18).
-- Grain: one row per overlap of two price lists of a plan (error_number).

with

plan_prices as (

    select * from {{ ref("stg_billing__plan_prices") }}

),

user_plans as (

    select * from {{ ref("stg_billing__user_plans") }}

),

plan_segments as (

    select * from {{ ref("int_plan_segments") }}

),

overlapping_prices as (

    {{ overlapping_ranges("plan_prices", "plan_id") }}

),

price_overlaps as (

    select
        overlapping_prices.plan_id,
        overlapping_prices.valid_from as from_date,
        least(
            coalesce(overlapping_prices.valid_to, date '9999-12-31'), overlapping_prices.earlier_valid_to
        ) as to_date
    from overlapping_prices

),

on_plans as (

    -- Also on days that are not invoiced yet: most overlaps are made there.
    select
        user_plans.external_user_id,
        user_plans.plan_id,
        user_plans.valid_from as from_date,
        coalesce(user_plans.valid_to, date '9999-12-31') as to_date
    from user_plans
    where
        user_plans.external_user_id <> '{{ unattributed() }}'
        and (user_plans.valid_to is null or user_plans.valid_from < user_plans.valid_to)
    union all
    select
        plan_segments.external_user_id,
        plan_segments.plan_id,
        plan_segments.from_date,
        plan_segments.to_date
    from plan_segments
    where plan_segments.is_default

),

priced_twice as (

    -- Of each overlap the first day on which somebody is on the plan; its first day where nobody ever is.
    select
        price_overlaps.plan_id,
        on_plans.external_user_id,
        case
            when on_plans.external_user_id is null then price_overlaps.from_date
            else greatest(price_overlaps.from_date, on_plans.from_date)
        end as day
    from price_overlaps
    left join on_plans
        on
            price_overlaps.plan_id = on_plans.plan_id
            and price_overlaps.from_date < on_plans.to_date
            and price_overlaps.to_date > on_plans.from_date
    qualify
        row_number() over (
            partition by price_overlaps.plan_id, price_overlaps.from_date
            order by
                on_plans.external_user_id is null,
                greatest(price_overlaps.from_date, on_plans.from_date),
                on_plans.external_user_id
        ) = 1

)

select
    row_number() over (order by priced_twice.plan_id, priced_twice.day) as error_number,
    'overlap' as error,
    priced_twice.external_user_id,
    priced_twice.plan_id,
    priced_twice.day,
    'plan_prices.csv: plan ' || {{ quoted_for_message("priced_twice.plan_id") }} || ' has two price lists on '
    || priced_twice.day::string
    || coalesce(', and user ' || {{ quoted_for_message("priced_twice.external_user_id") }} || ' is on it', '') as message
from priced_twice
