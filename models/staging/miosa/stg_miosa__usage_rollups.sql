-- Purpose: the vendor's own figures by user, from its newest usage report for each billing period, in either of its shapes.
-- Grain: one row per line of that report (billing_period, line_number). A user may have several lines.
-- Storage keeps 37 decimals, in two columns, because a user's lines are added before anything is rounded (rule 16).
{% set storage_whole_digits = largest_vendor_figure() | trim | length - 1 %}
{% set seconds = ["sandbox_seconds", "computer_seconds"] %}

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
        {{ json_fields("answers.body", texts=["currency"], documents=["data", "results"]) }} as fields
    from answers

),

unwrapped as (

    select
        wrapped.*,
        {{ json_fields("wrapped.fields.data::string", texts=["currency"], documents=["data", "results"]) }} as inner_fields
    from wrapped

),

results as (

    -- The list is `results` or `data`, at the top level or inside `data`. The extractor lands null in its place only if the
    -- answer itself says that nobody used anything. Such an answer has no line.
    select
        unwrapped.load_id,
        unwrapped.billing_period,
        unwrapped.body,
        lower(coalesce(unwrapped.fields.currency, unwrapped.inner_fields.currency, 'usd')) = 'usd' as is_in_dollars,
        case
            when unwrapped.fields.results::string like '[%' then unwrapped.fields.results::string
            when unwrapped.fields.data::string like '[%' then unwrapped.fields.data::string
            when unwrapped.inner_fields.results::string like '[%' then unwrapped.inner_fields.results::string
            when unwrapped.inner_fields.data::string like '[%' then unwrapped.inner_fields.data::string
            when
                ({{ json_has_any_key("unwrapped.body", ["results"]) }} and unwrapped.fields.results is null)
                or ({{ json_has_any_key("unwrapped.body", ["data"]) }} and unwrapped.fields.data is null)
                {%- for name in ["results", "data"] %}
                or (
                    {{ json_has_any_key("unwrapped.fields.data::string", [name]) }}
                    and unwrapped.inner_fields.{{ name }} is null
                )
                {%- endfor %}
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
            "results.results",
            texts=["credit_cents", "total_usd", "storage_gb_hours"] + seconds,
            values=["external_user_id", "external_project_id", "workspace_id"],
            documents=["line_items"],
        ) }} as fields
    from results
    where
        results.results like '[%'
        and results.is_in_dollars

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
        {{ json_id("items.fields.external_project_id") }} as external_project_id,
        {{ json_id("items.fields.workspace_id") }} as workspace_id,
        case
            when items.fields.credit_cents is not null then {{ vendor_figure("items.fields.credit_cents") }}
            else {{ dollars_to_credits("items.fields.total_usd") }}
        end as credits,
        items.fields.credit_cents is null
        and {{ is_finer_than_nano("items.fields.total_usd") }} as has_too_many_decimals,
        {%- for name in seconds %}
        items.fields.{{ name }} as {{ name }}_text,
        {{ vendor_figure("items.fields." ~ name) }} as {{ name }},
        {%- endfor %}
        items.fields.storage_gb_hours as storage_text,
        {{ fixed_digits("items.fields.storage_gb_hours", storage_whole_digits, 37) }} as storage_digits,
        items.fields.line_items::string as line_items
    from items

),

lines as (

    select
        typed.load_id,
        typed.billing_period,
        typed.line_number,
        typed.credits,
        {%- for name in seconds %}
        typed.{{ name }},
        {%- endfor %}
        {{ nano_to_credits("left(typed.storage_digits, " ~ (storage_whole_digits + 9) ~ ")") }} as storage_gb_hours,
        right(typed.storage_digits, 28)::{{ wide_integer() }} as storage_gb_hours_beyond,
        typed.line_items,
        typed.payload,
        coalesce(typed.external_user_id, '{{ unattributed() }}') as external_user_id,
        typed.external_project_id,
        typed.workspace_id,
        case
            when typed.external_user_id = '{{ unattributed() }}' then 'reserved_user_id'
            when typed.has_too_many_decimals then 'too_many_decimals'
            when coalesce(abs(typed.credits) >= {{ largest_vendor_figure() }}, true) then 'bad_credits'
            when typed.storage_text is not null and typed.storage_digits is null then 'bad_storage'
            {%- for name in seconds %}
            when
                typed.{{ name }}_text is not null and coalesce(abs(typed.{{ name }}) >= {{ largest_vendor_figure() }}, true)
                then 'bad_quantity'
            {%- endfor %}
        end as rejection_reason
    from typed
    union all
    -- An answer without a list of results, or in another currency, becomes one rejected line, so that it is reported.
    select
        results.load_id,
        results.billing_period,
        0 as line_number,
        null::decimal(38, 9) as credits,
        {%- for name in seconds %}
        null::decimal(38, 9) as {{ name }},
        {%- endfor %}
        null::decimal(38, 9) as storage_gb_hours,
        null::{{ wide_integer() }} as storage_gb_hours_beyond,
        null::string as line_items,
        results.body as payload,
        null::string as external_user_id,
        null::string as external_project_id,
        null::string as workspace_id,
        case when results.results like '[%' then 'other_currency' else 'unreadable_rollup' end as rejection_reason
    from results
    where
        coalesce(results.results not like '[%', true)
        or not results.is_in_dollars

)

select
    lines.load_id,
    lines.billing_period,
    lines.line_number,
    lines.credits,
    lines.sandbox_seconds,
    lines.computer_seconds,
    lines.storage_gb_hours,
    lines.storage_gb_hours_beyond,
    lines.line_items,
    lines.external_user_id,
    lines.external_project_id,
    lines.workspace_id,
    lines.rejection_reason,
    case when lines.rejection_reason is not null then lines.payload end as rejected_payload
from lines
