-- Every user ever landed, by any resource, in the order in which quotas are read: users whose quota was never read, then those with usage
-- in the months asked for, then those whose limits are managed (they have a quota, or we changed theirs), then all others, the longest
-- unread first. Whether the seeds manage a user's limits cannot be seen here.
-- $1, $2: start and end of the months. Grain: one row per user.
with users as (
    select distinct external_user_id
    from (
        select external_user_id from raw.usage_sessions
        union all
        select external_user_id from raw.sandboxes
        union all
        select row_key from raw.quotas
    ) as landed
    where external_user_id is not null and external_user_id not in ('', '(unattributed)')
),

used as (
    select
        nullif(external_user_id, '') as external_user_id,
        case when coalesce(external_user_id, '') = ''
            then try(json_extract_string(coalesce(payload_normalized, payload), '$.computer_id'))
        end as sandbox_id
    from raw.usage_sessions
    where payload is not null and started_at_utc < $2 and coalesce(ended_at_utc, started_at_utc) >= $1
),

in_use as (
    select external_user_id from used
    union
    select sandboxes.external_user_id
    from raw.sandboxes as sandboxes
    where sandboxes.row_key in (select used.sandbox_id from used where used.sandbox_id is not null)
),

readings as (
    select row_key, load_id from raw.quotas
    union all
    select row_key, load_id from raw.quota_reads
),

last_readings as (
    select readings.row_key, max(readings.load_id) as load_id
    from readings
    group by readings.row_key
),

managed as (
    select row_key
    from raw.quotas
    group by row_key
    having arg_max(http_status, load_id::hugeint * 1099511627776 + row_number) <> 404
    union
    select row_key from raw.quota_changes
),

found as (
    select
        users.external_user_id,
        loads.started_at_utc as last_read_at_utc,
        users.external_user_id in (select in_use.external_user_id from in_use where in_use.external_user_id is not null)
            as is_in_use,
        users.external_user_id in (select managed.row_key from managed) as is_managed
    from users
    left join last_readings on users.external_user_id = last_readings.row_key
    left join raw.loads as loads on last_readings.load_id = loads.load_id
)

select external_user_id, last_read_at_utc, is_in_use or is_managed
from found
order by last_read_at_utc is not null, not is_in_use, not is_managed, last_read_at_utc, external_user_id
