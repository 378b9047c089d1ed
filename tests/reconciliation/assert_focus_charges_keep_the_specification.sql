-- The rows of both FOCUS marts keep the rules of FOCUS 1.2 that can be seen on one row. Returns the rows that do not, with the rules. The
-- official validator does not check a third of them: a wrong ListCost, an end before its start, nested tags, empty texts and others.
-- noqa: disable=CP02
{% for mart in ["rpt_focus_cost", "rpt_focus_resale"] -%}
select
    '{{ mart }}' as mart,
    tested.x_ChargeId,
    tested.broken_rules
from (
    select
        charges.x_ChargeId,
        concat_ws(
            ', '
            {%- for rule, violation in focus_violations(mart == "rpt_focus_resale").items() %},
            case when {{ violation }} then '{{ rule }}' end
            {%- endfor %}
        ) as broken_rules
    from {{ changed_part(ref(mart)) }} as charges
) as tested
where tested.broken_rules <> ''
{{ "union all" if not loop.last }}
{% endfor %}
