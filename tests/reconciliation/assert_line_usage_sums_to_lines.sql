-- Rules 29 and 39: the usage of a line sums to its quantity, and its shares to its amount; so do the rows of its breakdown. A line
-- without usage has no quantity; the usage of an adjustment may sum to 0.
{%- set lines = changed_part(ref("fct_invoice_lines"), ["external_user_id", "service_period"], "int_user_periods_changed_by_lines") %}
with

lines as (

    select * from {{ lines }}

),

line_usage as (

    select
        all_usage.line_id,
        sum(all_usage.credits) as credits,
        sum(all_usage.amount) as amount
    from {{ ref("fct_invoice_line_usage") }} as all_usage
    {%- if tests_changed_only() %}
    {{ semi_join() }} lines on all_usage.line_id = lines.line_id
    {%- endif %}
    group by all_usage.line_id

),

breakdown as (

    select
        line_id,
        sum(credits) as credits,
        sum(amount_minor) as amount_minor,
        sum(amount) as amount
    from {{ changed_part(ref("fct_invoice_breakdown")) }}
    group by line_id

)

select
    line_id,
    lines.quantity_credits,
    lines.amount_minor,
    line_usage.credits as usage_credits,
    line_usage.amount as usage_amount,
    breakdown.credits as breakdown_credits,
    breakdown.amount_minor as breakdown_amount_minor
from lines
full outer join line_usage using (line_id)
full outer join breakdown using (line_id)
where
    coalesce(lines.quantity_credits, 0) <> coalesce(line_usage.credits, 0)
    or line_usage.amount is distinct from case when line_usage.line_id is not null then lines.amount end
    or breakdown.credits is distinct from lines.quantity_credits
    or breakdown.amount_minor is distinct from lines.amount_minor
    or breakdown.amount is distinct from lines.amount
