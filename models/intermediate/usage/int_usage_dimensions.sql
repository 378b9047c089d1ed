-- Purpose: what the vendor says was used of each dimension that it meters, from its usage report in either shape.
-- Grain: one row per user, project, workspace, billing period and dimension (external_user_id, external_project_id,
--        workspace_id, billing_period, dimension). Project and workspace are null if the report gives figures by user only.
{%- set rollup_units = {"sandbox_seconds": "vcpu_seconds", "computer_seconds": "vcpu_seconds", "storage_gb_hours": "gib_hours"} %}
{%- set item_units = {
    "sandbox_vcpu_seconds": "vcpu_seconds",
    "sandbox_ram_gb_seconds": "gb_seconds",
    "builder_seconds": "seconds",
    "runtime_instance_seconds": "seconds",
    "static_storage_gb_months": "gb_months",
    "static_egress_gb": "gb",
} %}

with

lines as (

    select * from {{ ref("stg_miosa__usage_rollups") }}
    where
        rejection_reason is null
        and line_items is null

),

items as (

    select * from {{ ref("int_usage_line_items") }}
    where rejection_reason is null

),

-- The rollup gives credits for all of a user's usage, not by dimension.
rollup_dimensions as (

    {%- for dimension, unit in rollup_units.items() %}
    select
        lines.external_user_id,
        lines.external_project_id,
        lines.workspace_id,
        lines.billing_period,
        '{{ dimension }}' as dimension,
        {%- if dimension == "storage_gb_hours" %}
        -- Decimals beyond the ninth are added before they are rounded.
        sum(lines.storage_gb_hours) + {{ nano_to_credits(wide_quotient(
            "(sum(lines.storage_gb_hours_beyond) + 5 * " ~ power_of_ten(27) ~ ")", power_of_ten(28)
        )) }}
        {%- else %}
        sum(lines.{{ dimension }})
        {%- endif %} as quantity,
        '{{ unit }}' as unit,
        null::decimal(38, 9) as vendor_credits,
        'rollup' as source
    from lines
    where lines.{{ dimension }} is not null
    group by lines.external_user_id, lines.external_project_id, lines.workspace_id, lines.billing_period
    {{ "union all" if not loop.last }}
    {%- endfor %}

),

item_dimensions as (

    select
        items.external_user_id,
        items.external_project_id,
        items.workspace_id,
        items.billing_period,
        items.dimension,
        sum(items.quantity) as quantity,
        case items.dimension
            {%- for dimension, unit in item_units.items() %}
            when '{{ dimension }}' then '{{ unit }}'
            {%- endfor %}
        end as unit,
        sum(items.credits) as vendor_credits,
        'line_items' as source
    from items
    group by items.external_user_id, items.external_project_id, items.workspace_id, items.billing_period, items.dimension

)

{% for relation in ["rollup_dimensions", "item_dimensions"] -%}
select
    {{ relation }}.external_user_id,
    {{ relation }}.external_project_id,
    {{ relation }}.workspace_id,
    {{ relation }}.billing_period,
    {{ relation }}.dimension,
    {{ relation }}.quantity::decimal(38, 9) as quantity,
    {{ relation }}.unit,
    {{ relation }}.vendor_credits::decimal(38, 9) as vendor_credits,
    {{ relation }}.source
from {{ relation }}
{{ "union all" if not loop.last }}
{% endfor %}
