-- Requested users who have no invoice in the period. One row per user. Value: the list of users.
select requested.external_user_id
from unnest(cast(? as varchar[])) as requested (external_user_id)
where requested.external_user_id not in (select documents.external_user_id from documents)
order by requested.external_user_id
