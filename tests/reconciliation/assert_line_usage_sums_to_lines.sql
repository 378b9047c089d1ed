-- Rule 29: the usage of a line sums to its quantity. A line without usage has no quantity; the usage of an adjustment may sum to 0.
with

lines as (

    select * from {{ changed_part(ref("fct_invoice_lines"), ["external_user_id", "service_period"], "int_user_periods_changed_by_lines") }}

),

line_usage as (

    select
        all_usage.line_id,
        sum(all_usage.credits) as credits
    from {{ ref("fct_invoice_line_usage") }} as all_usage
    {%- if tests_changed_only() %}
    {{ semi_join() }} lines on all_usage.line_id = lines.line_id
    {%- endif %}
    group by all_usage.line_id

)

select
    line_id,
    lines.quantity_credits,
    line_usage.credits
from lines
full outer join line_usage using (line_id)
where coalesce(lines.quantity_credits, 0) <> coalesce(line_usage.credits, 0)
