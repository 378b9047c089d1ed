{#- What a failed reconciliation says: the first differences in words, and what to do. dbt itself only counts the rows of a failed test. -#}

{#- The tests whose rows are those of rpt_reconciliation: what a failure means, and what to do. -#}
{% macro reconciliation_tests() %}
    {{ return({
        "assert_own_steps_reconcile": {
            "meaning": "steps of our own disagree, which is a defect of this project",
            "advice": "do not bill from this warehouse; report these lines",
        },
        "assert_vendor_figures_reconcile": {
            "meaning": "the vendor's figures disagree beyond the tolerance",
            "advice": "extract again, then run dbt build; if they stay, see docs/operations.md, When a build fails",
        },
    }) }}
{% endmacro %}

{#- The first five rows of a reconciliation as texts, each with the number of all rows: check, user, period, ours and theirs. Users come
    before totals, and large differences before small ones. -#}
{% macro first_differences(differing_rows) %}
    select
        differences.check_name
        || ', ' || case when differences.external_user_id is null then 'all users' else {{ label("user", "differences.external_user_id") }} end
        || ', ' || differences.billing_period
        || case
            when differences.check_name = 'vendor_rollup_vs_line_items'
                then ': their line items ' || differences.actual || ', their total ' || differences.expected
            when differences.check_name like '%vendor%'
                then ': ours ' || differences.actual || ', theirs ' || differences.expected
            else ': this step ' || differences.actual || ', the step before ' || differences.expected
        end as message,
        differences.row_count
    from (
        select
            check_name,
            external_user_id,
            billing_period,
            coalesce({{ plain_number("actual_credits") }}, 'nothing') as actual,
            coalesce({{ plain_number("expected_credits") }}, 'nothing') as expected,
            count(*) over () as row_count,
            row_number() over (
                order by
                    case when external_user_id is null then 1 else 0 end, abs(difference_credits) desc,
                    check_name, billing_period, external_user_id
            ) as place
        from ({{ differing_rows }}) as differing_rows
    ) as differences
    where differences.place <= 5
    order by differences.place
{% endmacro %}

{#- on-run-end, first: prints the differences behind each failed test, also with --quiet. -#}
{% macro explain_reconciliation(results) %}
    {%- set tests = reconciliation_tests() -%}
    {%- for result in results if execute and result.node.name in tests and result.status | string == "fail" -%}
        {%- set rows = run_query(first_differences(result.node.compiled_code)).rows -%}
        {%- if rows | length > 0 -%}
            {%- do print(result.node.name ~ ": " ~ tests[result.node.name].meaning ~ ", in credits:") -%}
            {%- for row in rows -%}{%- do print("  " ~ row[0]) -%}{%- endfor -%}
            {%- if rows[0][1] > 5 -%}
                {%- do print("  and " ~ (rows[0][1] - 5) ~ " more: select * from marts.rpt_reconciliation where status = 'mismatch'") -%}
            {%- endif -%}
            {%- do print("What to do: " ~ tests[result.node.name].advice ~ ".") -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}
