-- Purpose: everything that is wrong with plans, prices and assignments, in words (rule 18). A row here stops the build
--          before anything is priced: each day that can be billed has exactly one plan and one price list.
-- Grain: one row per error (error_number).
{{ config(
    post_hook={"sql": "{{ stop_on_errors('nothing can be priced') }}", "transaction": false}
) }}

with

errors as (

    {% for relation in [
        "int_unreadable_price_cells", "int_price_list_errors", "int_assignment_errors", "int_price_overlap_errors",
        "int_unpriced_day_errors", "int_vendor_price_errors",
    ] %}
    select
        error,
        external_user_id,
        plan_id,
        day,
        message
    from {{ ref(relation) }}
    {{ "union all" if not loop.last }}
    {% endfor %}

)

select
    -- Unreadable cells come first: where the end of a range cannot be read, ranges seem to overlap that do not.
    row_number() over (
        order by errors.error <> 'unreadable', errors.error <> 'overlap', errors.error = 'gap', errors.message
    ) as error_number,
    errors.error,
    errors.external_user_id,
    errors.plan_id,
    errors.day,
    errors.message
from errors
