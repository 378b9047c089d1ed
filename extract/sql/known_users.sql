-- Every user ever landed, by any resource. Grain: one row per user.
select distinct external_user_id
from (
    select external_user_id from raw.usage_sessions
    union all
    select external_user_id from raw.sandboxes
    union all
    select row_key from raw.quotas
) as landed
where external_user_id is not null and external_user_id not in ('', '(unattributed)')
order by external_user_id
