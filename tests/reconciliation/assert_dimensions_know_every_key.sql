-- Rule 10: nothing gets lost when a BI tool joins a fact with its dimensions: users, plans, sandboxes, projects and days of the facts
-- have a row in theirs. And a user with usage is one whom the vendor names.
with

parts as (

    select * from {{ changed_part(ref("fct_session_period_credits")) }}

),

user_days as (

    select * from {{ changed_part(ref("fct_user_day_credits")) }}

),

users as (

    select * from {{ ref("dim_users") }}

)

select
    'sandbox' as dimension,
    parts.sandbox_id as missing_key
from parts
{{ anti_join() }} {{ ref("dim_sandboxes") }} as sandboxes on parts.sandbox_id = sandboxes.sandbox_id
where parts.sandbox_id is not null
union all
select
    'project' as dimension,
    parts.external_project_id as missing_key
from parts
{{ anti_join() }} {{ ref("dim_projects") }} as projects on parts.external_project_id = projects.external_project_id
where parts.external_project_id is not null
union all
select
    'date' as dimension,
    user_days.usage_date::string as missing_key
from user_days
{{ anti_join() }} {{ ref("dim_dates") }} as dates on user_days.usage_date = dates.calendar_date
union all
select
    'plan' as dimension,
    invoice_lines.plan_id as missing_key
from {{ ref("fct_invoice_lines") }} as invoice_lines
{{ anti_join() }} {{ ref("dim_plans") }} as plans on invoice_lines.plan_id = plans.plan_id
where invoice_lines.plan_id is not null
union all
select
    'user' as dimension,
    invoices.external_user_id as missing_key
from {{ ref("fct_invoices") }} as invoices
{{ anti_join() }} users on invoices.external_user_id = users.external_user_id
union all
select
    'user whom the vendor names' as dimension,
    users.external_user_id as missing_key
from users
{{ semi_join() }} {{ ref("fct_user_period_credits") }} as user_periods on users.external_user_id = user_periods.external_user_id
where not users.is_known_to_vendor
