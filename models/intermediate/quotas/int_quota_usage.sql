-- Purpose: what each user used of each quota in each period, beside the effective limit (rules 15 to 17).
-- Grain: one row per user, billing period and quota (external_user_id, billing_period, quota), for every user with usage in the
--        period or with a quota at any time.
{%- set is_owned = sandbox_quota_counts() == "owned" %}
{%- set loads = ref("stg_miosa__loads") %}

with

limits as (

    select * from {{ ref("int_effective_quota_limits") }}

),

user_periods as (

    select * from {{ ref("int_user_periods") }}

),

sandboxes as (

    select * from {{ counted_sandboxes() }}

),

storage as (

    select * from {{ ref("int_storage_usage") }}

),

{% if is_owned %}
-- Of a period that ended before the list was first read, it is not known which sandboxes are gone since.
first_list as (

    select min(started_at_utc) as started_at_utc
    from {{ loads }}
    where resource = 'sandboxes'

),

sandbox_counts as (

    select
        limits.external_user_id,
        limits.billing_period,
        case
            when any_value(limits.period_end_at_utc) > any_value(first_list.started_at_utc)
                then coalesce(max(sandboxes.owned_sandbox_count), 0)
        end as sandbox_count
    from limits
    cross join first_list
    left join sandboxes
        on
            limits.external_user_id = sandboxes.external_user_id
            and limits.billing_period = sandboxes.billing_period
    where limits.quota = 'sandboxes'
    group by limits.external_user_id, limits.billing_period

),
{% else %}
-- Sandboxes are numbered in the order in which a user first ran them. So the highest number up to a period is their count.
newest_sandboxes as (

    select
        sandboxes.external_user_id,
        {{ billing_period("sandboxes.first_started_at_utc") }} as billing_period,
        max(sandboxes.sandbox_number) as sandbox_number
    from sandboxes
    group by all

),

sandbox_counts as (

    select
        limits.external_user_id,
        limits.billing_period,
        coalesce(max(newest_sandboxes.sandbox_number) over (
            partition by limits.external_user_id
            order by limits.billing_period
            rows between unbounded preceding and current row
        ), 0) as sandbox_count
    from limits
    left join newest_sandboxes
        on
            limits.external_user_id = newest_sandboxes.external_user_id
            and limits.billing_period = newest_sandboxes.billing_period
    where limits.quota = 'sandboxes'

),
{% endif %}

used as (

    {%- for quota, source, used_value in [
        ("credits", "user_periods", nano_to_credits("user_periods.nano_credits")),
        ("concurrent", "user_periods", "user_periods.peak_concurrent"),
        ("sandboxes", "sandbox_counts", "sandbox_counts.sandbox_count"),
        ("storage_gb", "storage", "storage.storage_gb"),
    ] %}
    select
        {{ source }}.external_user_id,
        {{ source }}.billing_period,
        '{{ quota }}' as quota,
        {{ used_value }}::decimal(38, 9) as used_value
    from {{ source }}
    {{ "union all" if not loop.last }}
    {%- endfor %}

)

select
    limits.external_user_id,
    limits.billing_period,
    limits.quota,
    limits.limit_value,
    -- What was not used is 0, but storage that the vendor did not report is not measured, and nor are sandboxes above.
    case
        when limits.quota in ('storage_gb', 'sandboxes') then used.used_value
        else coalesce(used.used_value, 0)
    end::decimal(38, 9) as used_value,
    limits.has_quota,
    limits.has_limit_changed,
    limits.period_start_at_utc,
    limits.period_end_at_utc
from limits
left join used
    on
        limits.external_user_id = used.external_user_id
        and limits.billing_period = used.billing_period
        and limits.quota = used.quota
