-- The projects that used most. One row per project among the first $2, then one row (without a place) that sums all others. A place
-- without a project is usage without one.
-- $1: the billing period. $2: how many projects to name.
with

projects as (

    select
        external_project_id,
        count(distinct external_user_id) as user_count,
        count(*) as session_count,
        sum(usage_seconds)::bigint as usage_seconds,
        sum(credits)::decimal(38, 9) as credits
    from marts.fct_session_period_credits
    where billing_period = $1
    group by external_project_id

),

ranked as (

    select
        *,
        row_number() over (order by credits desc, external_project_id asc nulls last) as place
    from projects

)

select
    case when place <= $2 then place end as place,
    case when place <= $2 then external_project_id end as external_project_id,
    count(*) as project_count,
    -- A user of several projects would count several times among the others.
    case when bool_and(place <= $2) then sum(user_count)::bigint end as user_count,
    sum(session_count)::bigint as session_count,
    sum(usage_seconds)::bigint as usage_seconds,
    sum(credits)::decimal(38, 9) as credits
from ranked
group by case when place <= $2 then place end, case when place <= $2 then external_project_id end
order by place nulls last
