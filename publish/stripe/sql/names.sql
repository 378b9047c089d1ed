-- The name to show of each user. Grain: one row per user.
select
    users.external_user_id,
    users.display_name
from marts.dim_users as users
