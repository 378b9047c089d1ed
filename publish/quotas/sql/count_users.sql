-- How many users there are, with usage or with a desired limit. One row.
select count(*)
from (
    select external_user_id from marts.dim_users where is_attributed
    union
    select external_user_id from marts.dim_desired_quota_limits
) as users
