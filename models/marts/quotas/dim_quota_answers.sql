-- Purpose: the vendor's newest answer about each user's quota, which `publish quotas` compares with the desired limits.
-- Grain: one row per user whose quota the extractor requested (external_user_id).
-- All models from here to raw are views, so that an answer counts as soon as it is landed.
{{ config(materialized="view") }}

select
    quota_answers.external_user_id,
    quota_answers.load_id,
    quota_answers.http_status,
    quota_answers.answer
from {{ ref("stg_miosa__quota_answers") }} as quota_answers
