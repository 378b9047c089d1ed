-- Purpose: the newest answer of the vendor about each user's quota, for `publish quotas`, which compares it with the desired
--          limits. Views all the way down to raw: an answer counts as soon as it is landed.
-- Grain: one row per user of whom the vendor was asked (external_user_id).
{{ config(materialized="view") }}

select
    quota_answers.external_user_id,
    quota_answers.load_id,
    quota_answers.http_status,
    quota_answers.answer
from {{ ref("stg_miosa__quota_answers") }} as quota_answers
