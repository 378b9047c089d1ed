-- Purpose: every line of every invoice, in the shape that Fivetran's billing packages give to lines of all billing systems, so that
--          dashboards made for that shape work here. docs/bi.md says what each column holds.
-- Grain: one row per invoice line (header_id, line_item_index from 1), and one per invoice with a refund (line_item_index 0).
-- Names and order of the columns are those of the shape, not ours. A refund belongs to no line, so it has a row of its own.
{{ config(materialized="view") }}
{%- set columns = [
    "header_id", "line_item_id", "line_item_index", "record_type", "created_at", "currency", "header_status", "product_id", "product_name",
    "transaction_type", "billing_type", "product_type", "quantity", "unit_amount", "discount_amount", "tax_amount", "total_amount",
    "payment_id", "payment_method_id", "payment_method", "payment_at", "fee_amount", "refund_amount", "subscription_id", "subscription_plan",
    "subscription_period_started_at", "subscription_period_ended_at", "subscription_status", "customer_id", "customer_created_at",
    "customer_level", "customer_name", "customer_company", "customer_email", "customer_city", "customer_country", "source_relation",
] %}
{%- set null_on_headers = {
    "line_item_id": "string", "product_id": "string", "product_name": "string", "product_type": "string",
    "quantity": "decimal(38, 9)", "unit_amount": "decimal(38, 9)",
} %}

with

lines as (

    select * from {{ ref("int_invoice_lines") }}

),

receivables as (

    select * from {{ ref("int_receivables") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

users as (

    select * from {{ ref("int_user_details") }}

),

customers as (

    select * from {{ ref("stg_billing__customers") }}

),

line_items as (

    select
        lines.invoice_id as header_id,
        lines.line_id as line_item_id,
        (row_number() over (
            partition by lines.invoice_id
            order by {{ invoice_line_order("lines") }}
        ))::integer as line_item_index,
        'line_item' as record_type,
        {{ period_start("lines.invoice_period") }} as created_at,
        lines.currency,
        coalesce(receivables.stripe_status, case when lines.status = 'closed' then 'open' else 'draft' end) as header_status,
        lines.plan_id as product_id,
        coalesce(plans.plan_name, lines.plan_id) as product_name,
        case when lines.amount < 0 then 'credit' else 'charge' end as transaction_type,
        case
            when lines.line_type in ('fee', 'minimum') then 'recurring'
            when lines.line_type in ('usage', 'included') then 'usage'
            else 'one_time'
        end as billing_type,
        case when lines.plan_id is not null then 'service' end as product_type,
        case when lines.unit_price is null then 1 else lines.quantity_credits end::decimal(38, 9) as quantity,
        coalesce(lines.unit_price, lines.amount)::decimal(38, 9) as unit_amount,
        null::decimal(38, 3) as discount_amount,
        null::decimal(38, 3) as tax_amount,
        lines.amount::decimal(38, 3) as total_amount,
        receivables.last_payment_id as payment_id,
        null::string as payment_method_id,
        null::string as payment_method,
        receivables.last_paid_at_utc as payment_at,
        null::decimal(38, 3) as fee_amount,
        null::decimal(38, 3) as refund_amount,
        case when lines.plan_id is not null then {{ text_key(["lines.external_user_id", "lines.plan_id"]) }} end as subscription_id,
        coalesce(plans.plan_name, lines.plan_id) as subscription_plan,
        {{ period_start("lines.service_period") }} as subscription_period_started_at,
        {{ period_start("lines.service_period") }} + interval 1 month as subscription_period_ended_at,
        case
            when lines.plan_id is null then null
            when lines.plan_id = users.plan_id then 'active'
            else 'canceled'
        end as subscription_status,
        lines.external_user_id as customer_id,
        users.first_seen_at_utc as customer_created_at,
        'customer' as customer_level,
        users.display_name as customer_name,
        null::string as customer_company,
        case when trim(customers.email) <> '' then customers.email end as customer_email,
        null::string as customer_city,
        case when trim(customers.country) <> '' then customers.country end as customer_country,
        '' as source_relation,
        {{ minor_to_decimal(
            "receivables.refunded_amount", stripe_exponent("lines.currency", "lines.currency_exponent")
        ) }} as invoice_refund_amount
    from lines
    inner join users on lines.external_user_id = users.external_user_id
    left join plans on lines.plan_id = plans.plan_id
    left join customers on lines.external_user_id = customers.external_user_id
    left join receivables on lines.invoice_id = receivables.invoice_id

)

select
    {%- for column in columns %}
    line_items.{{ column }}{{ "," if not loop.last }}
    {%- endfor %}
from line_items
union all
select
    {%- for column in columns %}
    {% if column in null_on_headers -%} null::{{ null_on_headers[column] }} as {{ column }}
    {%- elif column == "line_item_index" -%} 0 as line_item_index
    {%- elif column == "record_type" -%} 'header' as record_type
    {%- elif column == "transaction_type" -%} 'refund' as transaction_type
    {%- elif column == "total_amount" -%} 0.000::decimal(38, 3) as total_amount
    {%- elif column == "refund_amount" -%} line_items.invoice_refund_amount as refund_amount
    {%- else -%} line_items.{{ column }}
    {%- endif %}{{ "," if not loop.last }}
    {%- endfor %}
from line_items
where line_items.line_item_index = 1 and line_items.invoice_refund_amount > 0
