-- Whether the warehouse names a user: by usage, by a desired limit, or by a quota. One row.
-- $1: external user id.
select
    exists (select 1 from marts.dim_users where external_user_id = $1 and is_attributed)
    or exists (select 1 from marts.dim_desired_quota_limits where external_user_id = $1)
    or exists (select 1 from marts.dim_quota_answers where external_user_id = $1 and http_status <> 404)
