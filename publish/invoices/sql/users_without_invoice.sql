-- Requested users who have no invoice in the period. One row per user.
select distinct requested_users.external_user_id
from requested_users
where requested_users.external_user_id not in (select documents.external_user_id from documents)
order by requested_users.external_user_id
