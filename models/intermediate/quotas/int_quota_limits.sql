-- Purpose: the history of each user's limits, one row per change, from when it was first seen (rule 17).
-- Grain: one row per user, quota and change (external_user_id, quota, version_number).
-- An answer that differs only in the live counters is not a change. A 404 is one: the user then has no quota.

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
        quotas.last_read_load_id,
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

),

-- The first answer is a change too: there is none before it to be the same as.
numbered as (

    select
        compared.*,
        count(
            case
                when
                    compared.has_quota is distinct from compared.previous_has_quota
                    or compared.limit_value is distinct from compared.previous_limit_value
                    then 1
            end
        ) over (
            partition by compared.external_user_id, compared.quota
            order by compared.load_id, compared.row_number
            rows between unbounded preceding and current row
        ) as version_number
    from compared

),

limit_versions as (

    select
        numbered.external_user_id,
        numbered.quota,
        numbered.version_number,
        any_value(numbered.has_quota) as has_quota,
        any_value(numbered.limit_value) as limit_value,
        min(numbered.load_id) as seen_from_load_id,
        max(numbered.last_read_load_id) as last_read_load_id
    from numbered
    group by numbered.external_user_id, numbered.quota, numbered.version_number

)

select
    limit_versions.external_user_id,
    limit_versions.quota,
    limit_versions.version_number,
    limit_versions.has_quota,
    limit_versions.limit_value,
    first_loads.started_at_utc as seen_from_utc,
    last_loads.started_at_utc as last_read_utc
from limit_versions
inner join loads as first_loads on limit_versions.seen_from_load_id = first_loads.load_id
inner join loads as last_loads on limit_versions.last_read_load_id = last_loads.load_id
