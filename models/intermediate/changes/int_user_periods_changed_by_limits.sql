-- Purpose: the user periods with changed usage or changed limits.
-- Grain: one row per user, billing period and cause (external_user_id, billing_period, cause). Empty in a full build.
{{ config(tags=["changes"]) }}
{%- set changed_before = ref("int_user_periods_changed_by_usage") %}
{%- set today = ref("int_quota_usage") %}
{%- set before = source("previous_intermediate", "int_quota_usage_snapshot") %}
{%- set columns = ["external_user_id", "billing_period", "quota", "limit_value"] %}
{%- set unfinished = is_unfinished() %}

{% if is_partial_build() %}
with

-- Counting is cheaper than EXCEPT ALL, which numbers the rows of both sides.
compared as (

    select
        {{ columns | join(", ") }},
        1 as row_count
    from {{ today }}
    where limit_value is not null and quota in ('credits', 'concurrent')
    union all
    select
        {{ columns | join(", ") }},
        -1 as row_count
    from {{ before }}

),

different as (

    select {{ columns | join(", ") }}
    from compared
    group by {{ columns | join(", ") }}
    having sum(row_count) <> 0

)

select
    external_user_id,
    billing_period,
    cause,
    '{{ invocation_id }}' as invocation_id
from {{ changed_before }}
union
select
    different.external_user_id,
    different.billing_period,
    'limits' as cause,
    '{{ invocation_id }}' as invocation_id
from different
union
select
    earlier.external_user_id,
    earlier.billing_period,
    earlier.cause,
    '{{ invocation_id }}' as invocation_id
from {{ this }} as earlier
where earlier.{{ unfinished }}
{% else %}
{{ no_changed_user_periods() }}
{% endif %}
