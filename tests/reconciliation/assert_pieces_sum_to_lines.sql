-- Rule 29: a line's pieces sum to its quantity. A line without pieces has none; an adjustment may have pieces that sum to 0.
with

pieces as (

    select
        line_id,
        sum(credits) as credits
    from {{ ref("fct_invoice_line_pieces") }}
    group by line_id

)

select
    line_id,
    lines.quantity_credits,
    pieces.credits
from {{ ref("fct_invoice_lines") }} as lines
full outer join pieces using (line_id)
where coalesce(lines.quantity_credits, 0) <> coalesce(pieces.credits, 0)
