-- The newest answer about each user's quota, so that an answer read back after a change counts before the next build.
-- $1: external user ids. One row per user with an answer.
select row_key, http_status, case when http_status <> 404 then coalesce(payload_normalized, payload) end
from raw.quotas
where row_key in (select unnest($1::varchar[]))
qualify row_number() over (partition by row_hash, row_key order by load_id desc, row_number desc) = 1
