-- Purpose: the vendor's own figures by user, from its newest answer for each billing period.
-- Grain: one row per line of that answer (billing_period, line_number). A user may have several lines.
-- Storage keeps 37 decimals, in two columns, because a user's lines are added before anything is rounded (rule 16).
{% set storage_whole_digits = largest_vendor_figure() | trim | length - 1 %}

with

versions as (

    select * from {{ source("miosa", "usage_rollups") }}

),

answers as (

    select
        versions.load_id,
        versions.row_key as billing_period,
        coalesce(versions.payload_normalized, versions.payload) as body
    from versions
    qualify
        row_number() over (partition by versions.row_key order by versions.load_id desc, versions.row_number desc) = 1

),

wrapped as (

    select
        answers.*,
        {{ json_fields("answers.body", documents=["data", "results"]) }} as fields
    from answers

),

unwrapped as (

    select
        wrapped.*,
        {{ json_fields("wrapped.fields.data::string", documents=["results"]) }} as inner_fields
    from wrapped

),

results as (

    -- The list of results is at the top level, inside `data`, or is `data` itself. The extractor lands null in its place
    -- only if the answer itself says that nobody used anything. Such an answer has no line.
    select
        unwrapped.load_id,
        unwrapped.billing_period,
        unwrapped.body,
        case
            when unwrapped.fields.results::string like '[%' then unwrapped.fields.results::string
            when unwrapped.fields.data::string like '[%' then unwrapped.fields.data::string
            when unwrapped.inner_fields.results::string like '[%' then unwrapped.inner_fields.results::string
            when
                ({{ json_has_any_key("unwrapped.body", ["results"]) }} and unwrapped.fields.results is null)
                or ({{ json_has_any_key("unwrapped.body", ["data"]) }} and unwrapped.fields.data is null)
                or (
                    {{ json_has_any_key("unwrapped.fields.data::string", ["results"]) }}
                    and unwrapped.inner_fields.results is null
                )
                then '[]'
        end as results
    from unwrapped

),

lists as (

    select
        results.load_id,
        results.billing_period,
        {{ json_items("results.results") }} as items,
        {{ json_objects(
            "results.results", texts=["credit_cents", "storage_gb_hours"], values=["external_user_id"]
        ) }} as fields
    from results
    where results.results like '[%'

),

items as (

    select
        lists.load_id,
        lists.billing_period,
        {{ each_item("lists.items", "lists.fields") }}
    from lists

),

typed as (

    select
        items.load_id,
        items.billing_period,
        items.line_number,
        -- The engines return no item for a null in the list, but it has to appear as a rejected line.
        coalesce(items.item::string, 'null') as payload,
        {{ json_id("items.fields.external_user_id") }} as external_user_id,
        {{ vendor_figure("items.fields.credit_cents") }} as credits,
        {{ fixed_digits("coalesce(items.fields.storage_gb_hours, '0')", storage_whole_digits, 37) }} as storage_digits
    from items

),

lines as (

    select
        typed.load_id,
        typed.billing_period,
        typed.line_number,
        typed.credits,
        {{ nano_to_credits("left(typed.storage_digits, " ~ (storage_whole_digits + 9) ~ ")") }} as storage_gb_hours,
        right(typed.storage_digits, 28)::{{ wide_integer() }} as storage_gb_hours_beyond,
        typed.payload,
        coalesce(typed.external_user_id, '{{ unattributed() }}') as external_user_id,
        case
            when typed.external_user_id = '{{ unattributed() }}' then 'reserved_user_id'
            when coalesce(abs(typed.credits) >= {{ largest_vendor_figure() }}, true) then 'bad_credits'
            when typed.storage_digits is null then 'bad_storage'
        end as rejection_reason
    from typed
    union all
    -- An answer without a list of results becomes one rejected line, so that it is reported.
    select
        results.load_id,
        results.billing_period,
        0 as line_number,
        null::decimal(38, 9) as credits,
        null::decimal(38, 9) as storage_gb_hours,
        null::{{ wide_integer() }} as storage_gb_hours_beyond,
        results.body as payload,
        null::string as external_user_id,
        'unreadable_rollup' as rejection_reason
    from results
    where coalesce(results.results not like '[%', true)

)

select
    lines.load_id,
    lines.billing_period,
    lines.line_number,
    lines.credits,
    lines.storage_gb_hours,
    lines.storage_gb_hours_beyond,
    lines.external_user_id,
    lines.rejection_reason,
    case when lines.rejection_reason is not null then lines.payload end as rejected_payload
from lines
