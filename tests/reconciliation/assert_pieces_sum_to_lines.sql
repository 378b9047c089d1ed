-- Rule 29: a line's pieces sum to its quantity. A line without pieces has none; an adjustment may have pieces that sum to 0.
with

lines as (

    select * from {{ touched_part(ref("fct_invoice_lines"), "user_period", "service_period") }}

),

pieces as (

    select
        all_pieces.line_id,
        sum(all_pieces.credits) as credits
    from {{ ref("fct_invoice_line_pieces") }} as all_pieces
    {%- if tests_touched_only() %}
    {{ semi_join() }} lines on all_pieces.line_id = lines.line_id
    {%- endif %}
    group by all_pieces.line_id

)

select
    line_id,
    lines.quantity_credits,
    pieces.credits
from lines
full outer join pieces using (line_id)
where coalesce(lines.quantity_credits, 0) <> coalesce(pieces.credits, 0)
