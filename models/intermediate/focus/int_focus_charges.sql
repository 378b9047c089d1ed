-- Purpose: what end users are billed, as charges: usage by line, day and sandbox; fees, minimums and adjustments of prices as one each.
--          Fees and minimums are spread over the usage of their days as effective amounts.
-- Grain: one row per invoice, line, category, first day, project, workspace and sandbox
--        (invoice_id, line_id, charge_category, from_date, external_project_id, workspace_id, sandbox_id).
--        line_id is null on the charge that takes the fees and minimums of a day without usage.
{{ config(materialized=long_view(), meta={"changes": "open_periods", "changed_keys": ["invoice_period"]}) }}
{%- set group_columns = ["external_project_id", "workspace_id", "sandbox_id"] %}
{%- set line_columns = [
    "invoice_id", "line_id", "external_user_id", "invoice_period", "line_type", "plan_id", "currency", "status", "description",
    "unit_price",
] %}

with

lines as (

    select * from {{ ref("int_invoice_lines") }}

),

spread_days as (

    select
        {{ invoice_id("external_user_id", "recognized_in", "currency") }} as invoice_id,
        external_user_id,
        recognized_in as invoice_period,
        currency,
        status,
        service_date,
        sum(nano_amount)::{{ wide_integer() }} as nano_amount
    from {{ ref("int_revenue_days") }}
    where line_type in ('fee', 'minimum')
    group by external_user_id, recognized_in, currency, status, service_date

),

month_days as (

    select {{ each_of(range(1, 32)) }} as day_number

),

usage_groups as (

    select
        line_usage.line_id,
        line_usage.usage_date,
        {%- for column in group_columns %}
        line_usage.{{ column }},
        {%- endfor %}
        sum(line_usage.nano_credits)::{{ wide_integer() }} as nano_credits,
        -- Unknown if an earlier version closed the line.
        case when count(*) = count(line_usage.usage_seconds) then sum(line_usage.usage_seconds)::bigint end as usage_seconds,
        sum(line_usage.nano_amount)::{{ wide_integer() }} as nano_amount
    from {{ ref("int_invoice_line_usage") }} as line_usage
    group by line_usage.line_id, line_usage.usage_date, line_usage.{{ group_columns | join(", line_usage.") }}

),

usage_charges as (

    select
        {%- for column in line_columns %}
        lines.{{ column }},
        {%- endfor %}
        usage_groups.usage_date,
        {%- for column in group_columns %}
        usage_groups.{{ column }},
        {%- endfor %}
        usage_groups.nano_credits,
        usage_groups.usage_seconds,
        usage_groups.nano_amount,
        -- Only usage of the invoice's own period takes a part of its fees.
        case when lines.line_type <> 'adjustment' then usage_groups.nano_credits else 0 end as weight
    from usage_groups
    inner join lines on usage_groups.line_id = lines.line_id

),

weighted as (

    select
        usage_charges.*,
        sum(usage_charges.weight) over (
            partition by usage_charges.invoice_id, usage_charges.usage_date
            order by
                {%- for column in group_columns %}
                usage_charges.{{ column }} is null, usage_charges.{{ column }},
                {%- endfor %}
                usage_charges.line_id
            rows between unbounded preceding and current row
        ) as weight_to,
        sum(usage_charges.weight) over (partition by usage_charges.invoice_id, usage_charges.usage_date) as total_weight
    from usage_charges

),

line_days as (

    select
        lines.line_id,
        min(month_days.day_number) as first_day,
        max(month_days.day_number) as last_day
    from lines
    inner join month_days on {{ whole_quotient("lines.service_day_mask", power_of_two("month_days.day_number - 1")) }} % 2 = 1
    group by lines.line_id

),

lines_without_usage as (

    select
        lines.*,
        {{ period_start("lines.service_period") }}::date as period_start
    from lines
    {{ anti_join() }} usage_groups on lines.line_id = usage_groups.line_id

)

select
    {%- for column in line_columns %}
    weighted.{{ column }},
    {%- endfor %}
    'Usage' as charge_category,
    weighted.line_type = 'adjustment' as is_correction,
    weighted.usage_date as from_date,
    (weighted.usage_date + 1)::date as to_date,
    {%- for column in group_columns %}
    weighted.{{ column }},
    {%- endfor %}
    weighted.nano_credits,
    weighted.usage_seconds,
    weighted.nano_amount,
    weighted.nano_amount + case
        when spread_days.nano_amount is null or weighted.total_weight = 0 then 0
        else {{ share_of_money(
            "spread_days.nano_amount", "(weighted.weight_to - weighted.weight)", "weighted.weight_to", "weighted.total_weight",
        ) }}
    end::{{ wide_integer() }} as effective_nano_amount
from weighted
left join spread_days on weighted.invoice_id = spread_days.invoice_id and weighted.usage_date = spread_days.service_date
union all
select
    spread_days.invoice_id,
    null::string as line_id,
    spread_days.external_user_id,
    spread_days.invoice_period,
    'usage' as line_type,
    null::string as plan_id,
    spread_days.currency,
    spread_days.status,
    'fees and minimum charges of a day without usage' as description,
    0::decimal(18, 9) as unit_price,
    'Usage' as charge_category,
    false as is_correction,
    spread_days.service_date as from_date,
    (spread_days.service_date + 1)::date as to_date,
    {%- for column in group_columns %}
    null::string as {{ column }},
    {%- endfor %}
    0::{{ wide_integer() }} as nano_credits,
    0::bigint as usage_seconds,
    0::{{ wide_integer() }} as nano_amount,
    spread_days.nano_amount as effective_nano_amount
from spread_days
{{ anti_join() }} weighted
    on
        spread_days.invoice_id = weighted.invoice_id
        and spread_days.service_date = weighted.usage_date
        and weighted.total_weight > 0
union all
select
    {%- for column in line_columns %}
    lines_without_usage.{{ column }},
    {%- endfor %}
    case
        when lines_without_usage.line_type in ('fee', 'minimum') then 'Purchase'
        when lines_without_usage.line_type = 'adjustment' then 'Adjustment'
        else 'Usage'
    end as charge_category,
    lines_without_usage.line_type = 'adjustment' as is_correction,
    (lines_without_usage.period_start + coalesce(line_days.first_day - 1, 0)::integer)::date as from_date,
    coalesce(
        (lines_without_usage.period_start + line_days.last_day::integer)::date, (lines_without_usage.period_start + interval 1 month)::date
    ) as to_date,
    {%- for column in group_columns %}
    null::string as {{ column }},
    {%- endfor %}
    {{ credits_to_nano("lines_without_usage.quantity_credits") }} as nano_credits,
    null::bigint as usage_seconds,
    {{ minor_to_nano("lines_without_usage.amount_minor", "lines_without_usage.currency_exponent") }} as nano_amount,
    case
        when lines_without_usage.line_type in ('fee', 'minimum') then 0
        else {{ minor_to_nano("lines_without_usage.amount_minor", "lines_without_usage.currency_exponent") }}
    end::{{ wide_integer() }} as effective_nano_amount
from lines_without_usage
left join line_days on lines_without_usage.line_id = line_days.line_id
