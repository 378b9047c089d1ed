-- Purpose: every user that the vendor's data or an invoice names, with the current plan and the name to show.
-- Grain: one row per user (external_user_id).
-- Current means: on the UTC day of the newest load. So a rebuild gives the same rows on any day.

with

users as (

    select * from {{ ref("int_users") }}

),

newest_load as (

    select max(started_at_utc)::date as load_date from {{ ref("stg_miosa__loads") }}

),

plan_ranges as (

    select * from {{ ref("int_user_plan_ranges") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

customers as (

    select * from {{ ref("stg_billing__customers") }}

),

everybody as (

    select users.external_user_id from users
    union
    -- Users with a fee and no usage, too, and those of closed periods whose usage was withdrawn.
    select invoice_lines.external_user_id from {{ ref("int_invoice_lines") }} as invoice_lines

),

current_plans as (

    select
        plan_ranges.external_user_id,
        plan_ranges.plan_id
    from plan_ranges
    inner join newest_load
        on
            plan_ranges.valid_from <= newest_load.load_date
            and newest_load.load_date < coalesce(plan_ranges.valid_to, date '9999-12-31')

)

select
    everybody.external_user_id,
    -- Unattributed usage is on no invoice.
    coalesce(users.is_attributed, true) as is_attributed,
    users.external_user_id is not null as is_known_to_vendor,
    users.first_seen_at_utc,
    users.last_seen_at_utc,
    coalesce(users.sandbox_count, 0) as sandbox_count,
    current_plans.plan_id,
    plans.currency,
    case
        when trim(customers.customer_name) <> '' then customers.customer_name
        else everybody.external_user_id
    end as display_name
from everybody
left join users on everybody.external_user_id = users.external_user_id
left join current_plans on everybody.external_user_id = current_plans.external_user_id
left join plans on current_plans.plan_id = plans.plan_id
left join customers on everybody.external_user_id = customers.external_user_id
