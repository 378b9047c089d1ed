-- Purpose: the user periods with changed usage, or with a different plan or price list on some day.
-- Grain: one row per user, billing period and cause (external_user_id, billing_period, cause). Empty in a full build.
{{ config(tags=["changes"]) }}
{%- set changed_before = ref("int_user_periods_changed_by_usage") %}
{%- set today = ref("int_price_segments") %}
{%- set before = source("previous_intermediate", "int_price_segments_snapshot") %}
{%- set columns = ["external_user_id", "billing_period", "from_date", "to_date", "plan_id", "price_valid_from"] %}
{%- set unfinished = is_unfinished() %}

{% if is_partial_build() %}
with

-- Counting is cheaper than EXCEPT ALL, which numbers the rows of both sides.
compared as (

    select
        {{ columns | join(", ") }},
        1 as row_count
    from {{ today }}
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
    'prices' as cause,
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
