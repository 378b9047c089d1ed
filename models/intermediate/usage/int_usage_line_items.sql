-- Purpose: what each line of the vendor's usage report is made of, where the report says so: quantity and price by dimension.
-- Grain: one row per line item (billing_period, item_number), for lines that are not rejected.

with

lines as (

    select
        load_id,
        billing_period,
        line_number as parent_number,
        external_user_id,
        external_project_id,
        workspace_id,
        line_items
    from {{ ref("stg_miosa__usage_rollups") }}
    where
        rejection_reason is null
        and line_items is not null

),

lists as (

    select
        lines.*,
        {{ json_items("lines.line_items") }} as items,
        {{ json_objects("lines.line_items", texts=["qty", "usd"], values=["dimension"]) }} as fields
    from lines
    where lines.line_items like '[%'

),

items as (

    select
        lists.load_id,
        lists.billing_period,
        lists.parent_number,
        lists.external_user_id,
        lists.external_project_id,
        lists.workspace_id,
        {{ each_item("lists.items", "lists.fields") }}
    from lists

),

typed as (

    select
        items.load_id,
        items.billing_period,
        items.parent_number,
        items.line_number as item_place,
        items.external_user_id,
        items.external_project_id,
        items.workspace_id,
        coalesce(items.item::string, 'null') as payload,
        {{ json_id("items.fields.dimension") }} as dimension,
        items.fields.qty as quantity_text,
        {{ vendor_figure("items.fields.qty") }} as quantity,
        items.fields.usd as usd_text,
        {{ dollars_to_credits("items.fields.usd") }} as credits
    from items

),

judged as (

    select
        typed.load_id,
        typed.billing_period,
        typed.parent_number,
        typed.item_place,
        typed.external_user_id,
        typed.external_project_id,
        typed.workspace_id,
        typed.payload,
        typed.dimension,
        typed.quantity,
        typed.credits,
        case
            when typed.dimension is null then 'bad_dimension'
            when
                typed.quantity_text is not null and coalesce(abs(typed.quantity) >= {{ largest_vendor_figure() }}, true)
                then 'bad_quantity'
            when {{ is_finer_than_nano("typed.usd_text") }} then 'too_many_decimals'
            when typed.usd_text is not null and typed.credits is null then 'bad_credits'
        end as rejection_reason
    from typed
    union all
    -- What is in place of the list becomes one rejected item, so that it is reported.
    select
        lines.load_id,
        lines.billing_period,
        lines.parent_number,
        0 as item_place,
        lines.external_user_id,
        lines.external_project_id,
        lines.workspace_id,
        lines.line_items as payload,
        null::string as dimension,
        null::decimal(38, 9) as quantity,
        null::decimal(38, 9) as credits,
        'unreadable_line_items' as rejection_reason
    from lines
    where lines.line_items not like '[%'

)

select
    judged.load_id,
    judged.billing_period,
    row_number() over (
        partition by judged.billing_period
        order by judged.parent_number, judged.item_place
    )::bigint as item_number,
    judged.external_user_id,
    judged.external_project_id,
    judged.workspace_id,
    judged.dimension,
    judged.quantity,
    judged.credits,
    judged.rejection_reason,
    case when judged.rejection_reason is not null then judged.payload end as rejected_payload
from judged
