-- What each project used. One row per project, workspace and user; null is usage without one.
-- $1: the billing period.
select
    usage.external_project_id,
    usage.workspace_id,
    usage.external_user_id,
    any_value(users.display_name) as display_name,
    count(*) as session_count,
    sum(usage.usage_seconds)::bigint as usage_seconds,
    sum(usage.credits)::decimal(38, 9) as credits
from marts.fct_session_period_credits as usage
left join marts.dim_users as users on usage.external_user_id = users.external_user_id
where usage.billing_period = $1
group by usage.external_project_id, usage.workspace_id, usage.external_user_id
order by usage.external_project_id nulls last, usage.workspace_id nulls last, usage.external_user_id
