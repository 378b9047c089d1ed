-- Who is near a limit, at it or over it. One row per user and quota among the first $2, then one row (without a place) that counts the
-- others.
-- $1: the billing period. $2: how many to name.
with

ranked as (

    select
        *,
        row_number() over (
            order by
                list_position(['over_limit', 'at_limit', 'warning'], status) asc,
                utilization desc nulls first,
                external_user_id asc,
                quota asc
        ) as place
    from marts.fct_quota_utilization
    where billing_period = $1 and status in ('over_limit', 'at_limit', 'warning')

)

select
    case when ranked.place <= $2 then ranked.place end as place,
    case when ranked.place <= $2 then ranked.external_user_id end as external_user_id,
    any_value(users.display_name) filter (where ranked.place <= $2) as display_name,
    any_value(ranked.quota) filter (where ranked.place <= $2) as quota,
    any_value(ranked.status) filter (where ranked.place <= $2) as quota_status,
    any_value(ranked.limit_value) filter (where ranked.place <= $2) as limit_value,
    any_value(ranked.used_value) filter (where ranked.place <= $2) as used_value,
    any_value(ranked.utilization) filter (where ranked.place <= $2) as utilization,
    any_value(ranked.reached_limit_at_utc) filter (where ranked.place <= $2) as reached_limit_at_utc,
    count(*) as row_count
from ranked
left join marts.dim_users as users on ranked.external_user_id = users.external_user_id
group by case when ranked.place <= $2 then ranked.place end, case when ranked.place <= $2 then ranked.external_user_id end
order by place nulls last
