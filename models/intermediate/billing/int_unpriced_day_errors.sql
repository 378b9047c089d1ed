-- Purpose: days that would be billed and have no plan or no price list, in words (rule 18).
-- Grain: one row per user and plan without a price list, and per user and period without a plan (error_number).

with

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

plan_segments as (

    select * from {{ ref("int_plan_segments") }}

),

price_segments as (

    select * from {{ ref("int_price_segments") }}

),

priced_days as (

    select
        plan_segments.external_user_id,
        plan_segments.plan_id,
        plan_segments.is_default,
        plan_segments.first_used_date,
        plan_segments.from_date,
        plan_segments.to_date,
        plans.plan_id is not null as is_known_plan,
        coalesce(sum({{ days_between("price_segments.from_date", "price_segments.to_date") }}), 0) as day_count
    from plan_segments
    left join plans on plan_segments.plan_id = plans.plan_id
    left join price_segments
        on
            plan_segments.external_user_id = price_segments.external_user_id
            and plan_segments.billing_period = price_segments.billing_period
            and plan_segments.plan_id = price_segments.plan_id
            and plan_segments.from_date <= price_segments.from_date
            and plan_segments.to_date >= price_segments.to_date
    group by
        plan_segments.external_user_id,
        plan_segments.plan_id,
        plan_segments.is_default,
        plan_segments.first_used_date,
        plan_segments.from_date,
        plan_segments.to_date,
        plans.plan_id

),

unpriced_days as (

    select
        priced_days.external_user_id,
        priced_days.plan_id,
        {{ each_step(
            "priced_days.from_date", "(priced_days.to_date - interval 1 day)::date", "1 day", type="date"
        ) }} as day
    from priced_days
    where
        priced_days.is_known_plan
        and priced_days.day_count < {{ days_between("priced_days.from_date", "priced_days.to_date") }}

),

gaps as (

    select
        priced_days.external_user_id,
        priced_days.plan_id,
        priced_days.first_used_date as day,
        'user ' || {{ quoted_for_message("priced_days.external_user_id") }} || ' has credits on ' || priced_days.first_used_date::string
        || ', a day without a plan, and ' || case
            when priced_days.plan_id is null then 'the variable default_plan_id names none'
            else 'the default plan ' || {{ quoted_for_message("priced_days.plan_id") }} || ' is not in plans.csv'
        end as message
    from priced_days
    where
        priced_days.is_default
        and not priced_days.is_known_plan
    union all
    select
        unpriced_days.external_user_id,
        unpriced_days.plan_id,
        min(unpriced_days.day) as day,
        'user ' || {{ quoted_for_message("unpriced_days.external_user_id") }}
        || ' is on plan ' || {{ quoted_for_message("unpriced_days.plan_id") }}
        || ' on ' || min(unpriced_days.day)::string || ', a day without a price list in plan_prices.csv' as message
    from unpriced_days
    where not exists (
        select price_segments.plan_id
        from price_segments
        where
            price_segments.external_user_id = unpriced_days.external_user_id
            and price_segments.plan_id = unpriced_days.plan_id
            and price_segments.from_date <= unpriced_days.day
            and price_segments.to_date > unpriced_days.day
    )
    group by unpriced_days.external_user_id, unpriced_days.plan_id

)

select
    row_number() over (order by gaps.message) as error_number,
    'gap' as error,
    gaps.external_user_id,
    gaps.plan_id,
    gaps.day,
    gaps.message
from gaps
