-- A user's use of each quota in the current period, with the limit and when it was reached. One row per quota.
-- $1: external user id; $2: names of the quotas.
-- The current period is the newest complete one, as in the marts: a session that crosses a month's end makes the next
-- month a period before it was asked for. A user without usage in it and without a quota is in no row of the marts;
-- sandboxes are counted over all time.
with current_period as (
    select arg_max(billing_period, {'is_complete': is_complete, 'billing_period': billing_period}) as billing_period
    from marts.dim_billing_periods
)

select
    current_period.billing_period,
    quotas.quota,
    case
        -- Null if it was not measured.
        when used.external_user_id is not null then used.used_value
        when quotas.quota = 'sandboxes' then coalesce(users.sandbox_count, 0)
        else 0
    end::decimal(38, 9),
    used.limit_value,
    used.reached_limit_at_utc
from current_period
cross join unnest($2::varchar[]) as quotas (quota)
left join marts.fct_quota_utilization as used
    on
        current_period.billing_period = used.billing_period
        and quotas.quota = used.quota
        and used.external_user_id = $1
left join marts.dim_users as users on users.external_user_id = $1
