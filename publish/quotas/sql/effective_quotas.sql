-- The newest answer about each user's quota, so that an answer read back after a change counts before the next build.
-- $1: external user ids. One row per user with an answer.
select external_user_id, http_status, answer
from marts.dim_quota_answers
where external_user_id in (select unnest($1::varchar[]))
