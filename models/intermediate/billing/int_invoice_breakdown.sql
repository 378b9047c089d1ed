-- Purpose: what each invoice line bills for each project and workspace, in whole minor units (rule 39).
-- Grain: one row per invoice line, project and workspace (line_id, external_project_id, workspace_id).
-- A line without usage (fees, minimums, an adjustment of prices alone) has one row, without project and workspace.
-- A build replaces the rows of open lines only: those of closed lines never change, and have no billing_period here.
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["external_user_id", "billing_period"],
    meta={"changes": "int_user_periods_changed_by_lines"},
) }}
{%- set line_columns = [
    "line_id", "invoice_id", "external_user_id", "invoice_period", "service_period", "line_type", "plan_id", "currency",
    "currency_exponent", "status", "service_day_mask", "billing_period",
] %}

with

invoice_lines as (

    select
        *,
        case when status = 'open' then service_period end as billing_period
    from {{ ref("int_invoice_lines") }}
    {{ only_in_partial_build("status = 'open'") }}

),

line_usage as (

    select
        *,
        case when status = 'open' then service_period end as billing_period
    from {{ ref("int_invoice_line_usage") }}
    {{ only_in_partial_build("status = 'open'") }}

),

lines as (

    select * from invoice_lines
    {{ only_changed(ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"]) }}

),

changed_line_usage as (

    select * from line_usage
    {{ only_changed(ref("int_user_periods_changed_by_lines"), ["external_user_id", "billing_period"]) }}

),

line_groups as (

    select
        changed_line_usage.line_id,
        changed_line_usage.external_project_id,
        changed_line_usage.workspace_id,
        sum(changed_line_usage.nano_credits) as nano_credits,
        sum(abs(changed_line_usage.nano_credits)) as absolute_nano_credits
    from changed_line_usage
    group by changed_line_usage.line_id, changed_line_usage.external_project_id, changed_line_usage.workspace_id

),

line_sums as (

    select
        line_groups.line_id,
        sum(line_groups.nano_credits) as nano_credits,
        sum(line_groups.absolute_nano_credits) as absolute_nano_credits
    from line_groups
    group by line_groups.line_id

),

weighted as (

    select
        {%- for column in line_columns %}
        lines.{{ column }},
        {%- endfor %}
        line_groups.external_project_id,
        line_groups.workspace_id,
        line_groups.line_id is not null as has_usage,
        lines.amount_minor as line_amount_minor,
        coalesce(line_groups.nano_credits, 0)::{{ wide_integer() }} as nano_credits,
        -- A line without usage has one row, which takes all of it.
        coalesce({{ share_weight(
            "line_groups.nano_credits", "line_groups.absolute_nano_credits", "line_sums.nano_credits", "line_sums.absolute_nano_credits",
        ) }}, 1)::{{ wide_integer() }} as weight
    from lines
    left join line_groups on lines.line_id = line_groups.line_id
    left join line_sums on lines.line_id = line_sums.line_id

),

totals as (

    select
        weighted.*,
        sum(weighted.weight) over (partition by weighted.line_id) as total_weight
    from weighted

),

cut as (

    -- In units of the line's sign. A row of an adjustment may have the other sign.
    select
        totals.*,
        {{ running_share("abs(totals.line_amount_minor)", "totals.weight", "totals.total_weight") }} as cut_units,
        {{ share_remainder("abs(totals.line_amount_minor)", "totals.weight", "totals.total_weight") }} as cut_remainder
    from totals

),

floored as (

    -- A share below zero was cut upwards: its floor is one unit less.
    select
        cut.*,
        case when cut.cut_remainder < 0 then cut.cut_units - 1 else cut.cut_units end as whole_units,
        case when cut.cut_remainder < 0 then cut.cut_remainder + cut.total_weight else cut.cut_remainder end as remainder
    from cut

),

ranked as (

    select
        floored.*,
        abs(floored.line_amount_minor) - sum(floored.whole_units) over (partition by floored.line_id) as units_left,
        row_number() over (
            partition by floored.line_id
            order by
                floored.remainder desc,
                floored.external_project_id is null asc,
                floored.external_project_id asc,
                floored.workspace_id is null asc,
                floored.workspace_id asc
        ) as place
    from floored

)

select
    {%- for column in line_columns %}
    ranked.{{ column }},
    {%- endfor %}
    ranked.external_project_id,
    ranked.workspace_id,
    ranked.has_usage,
    ranked.nano_credits,
    (
        (ranked.whole_units + case when ranked.place <= ranked.units_left then 1 else 0 end)
        * case when ranked.line_amount_minor < 0 then -1 else 1 end
    )::bigint as amount_minor
from ranked
