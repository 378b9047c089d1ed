-- Purpose: for each user close to a limit in the current period: the current plan, what the period comes to on it, and the
--          cheapest plan that would help, with its price.
-- Grain: one row per user with a quota at `warning` or above in the current period (external_user_id).

with

users as (

    select * from {{ ref("int_users_near_limits") }}

),

prices as (

    select * from {{ ref("int_quota_upgrade_prices") }}

),

rated_lines as (

    select * from {{ ref("int_rated_lines") }}

),

invoiced_periods as (

    select * from {{ ref("int_billing_periods") }}

),

cheapest as (

    select * from prices
    qualify row_number() over (
        partition by external_user_id order by amount_minor, plan_id
    ) = 1

),

current_amounts as (

    select
        users.external_user_id,
        sum(rated_lines.amount_minor)::bigint as amount_minor
    from users
    inner join rated_lines
        on
            users.external_user_id = rated_lines.external_user_id
            and users.billing_period = rated_lines.billing_period
            and users.currency = rated_lines.currency
    group by users.external_user_id

)

select
    users.external_user_id,
    users.billing_period,
    users.plan_id as current_plan_id,
    users.currency,
    users.currency_exponent,
    -- Null while the period is not invoiced: there is no amount to compare with.
    case
        when users.plan_id is not null and invoiced_periods.billing_period is not null
            then coalesce(current_amounts.amount_minor, 0)
    end as current_amount_minor,
    cheapest.plan_id as upgrade_plan_id,
    cheapest.amount_minor as upgrade_amount_minor
from users
left join invoiced_periods on users.billing_period = invoiced_periods.billing_period
left join current_amounts on users.external_user_id = current_amounts.external_user_id
left join cheapest on users.external_user_id = cheapest.external_user_id
