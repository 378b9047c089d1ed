-- Purpose: the history of each user's limits, one row per change, from when it was first seen (rule 17).
-- Grain: one row per user, quota and change (external_user_id, quota, version_number).
-- An answer that differs in the live counters only is no change of a limit. A 404 is a version too: no quota.

with

quotas as (

    select * from {{ ref("stg_miosa__quotas") }}
    where rejection_reason is null

),

loads as (

    select * from {{ ref("stg_miosa__loads") }}

),

limits as (

    {% for quota in ["credits", "concurrent", "sandboxes", "storage_gb"] %}
    select
        quotas.external_user_id,
        '{{ quota }}' as quota,
        quotas.load_id,
        quotas.row_number,
        quotas.has_quota,
        case when quotas.has_quota then quotas.{{ quota }}_limit end as limit_value
    from quotas
    {{ "union all" if not loop.last }}
    {% endfor %}

),

compared as (

    select
        limits.*,
        lag(limits.has_quota) over answers as previous_has_quota,
        lag(limits.limit_value) over answers as previous_limit_value
    from limits
    window answers as (
        partition by limits.external_user_id, limits.quota order by limits.load_id, limits.row_number
    )

)

select
    compared.external_user_id,
    compared.quota,
    row_number() over (
        partition by compared.external_user_id, compared.quota order by compared.load_id, compared.row_number
    ) as version_number,
    compared.has_quota,
    compared.limit_value,
    loads.started_at_utc as seen_from_utc
from compared
inner join loads on compared.load_id = loads.load_id
where
    compared.has_quota is distinct from compared.previous_has_quota
    or compared.limit_value is distinct from compared.previous_limit_value
