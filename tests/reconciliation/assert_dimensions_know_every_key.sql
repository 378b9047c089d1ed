-- Rule 10: nothing gets lost when a BI tool joins a fact with its dimensions: users, plans, sandboxes, projects and days of the facts
-- have a row in theirs. And a user with usage is one whom the vendor names.
with

parts as (

    select * from {{ changed_part(ref("fct_session_period_credits")) }}

),

users as (

    select * from {{ ref("dim_users") }}

)

select
    'sandbox' as dimension,
    parts.sandbox_id as missing_key
from parts
where
    parts.sandbox_id is not null
    and parts.sandbox_id not in (select sandboxes.sandbox_id from {{ ref("dim_sandboxes") }} as sandboxes)
union all
select
    'project' as dimension,
    parts.external_project_id as missing_key
from parts
where
    parts.external_project_id is not null
    and parts.external_project_id not in (select projects.external_project_id from {{ ref("dim_projects") }} as projects)
union all
select
    'date' as dimension,
    user_days.usage_date::string as missing_key
from {{ changed_part(ref("fct_user_day_credits")) }} as user_days
where user_days.usage_date not in (select dates.calendar_date from {{ ref("dim_dates") }} as dates)
union all
select
    'plan' as dimension,
    invoice_lines.plan_id as missing_key
from {{ ref("fct_invoice_lines") }} as invoice_lines
where
    invoice_lines.plan_id is not null
    and invoice_lines.plan_id not in (select plans.plan_id from {{ ref("dim_plans") }} as plans)
union all
select
    'user' as dimension,
    invoices.external_user_id as missing_key
from {{ ref("fct_invoices") }} as invoices
where invoices.external_user_id not in (select users.external_user_id from users)
union all
select
    'user whom the vendor names' as dimension,
    users.external_user_id as missing_key
from users
where
    not users.is_known_to_vendor
    and users.external_user_id in (
        select user_periods.external_user_id from {{ ref("fct_user_period_credits") }} as user_periods
    )
