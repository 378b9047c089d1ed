-- Purpose: proof that the credits add up: each step is compared with the step before it, and the result with the vendor's figures.
-- Grain: one row per check, billing period and user (check_name, billing_period, external_user_id). external_user_id is null
--        for the period's total.
-- Our own steps are compared without tolerance, and a row on one side only is a mismatch (rule 32).
{%- set comparisons = [
    ("raw", "staging", "raw_vs_staging"),
    ("staging", "session_periods", "staging_vs_session_periods"),
    ("session_periods", "user_days", "session_periods_vs_user_days"),
    ("user_days", "user_periods", "user_days_vs_user_periods"),
    ("billable", "invoices", "user_periods_vs_invoices"),
] %}

with

{% for step in ["raw", "staging", "session_periods", "user_days"] %}
{{ step }}_credits as (

    select
        external_user_id,
        billing_period,
        credits
    from {{ ref("rpt_credits_by_pipeline_step") }}
    where step = '{{ step }}'

),

{% endfor %}
user_periods_credits as (

    select
        external_user_id,
        billing_period,
        credits
    from {{ ref("fct_user_period_credits") }}

),

invoiced_periods as (

    select billing_period from {{ ref("int_billing_periods") }}

),

billable_credits as (

    select
        user_periods.external_user_id,
        user_periods.billing_period,
        user_periods.credits
    from {{ ref("fct_user_period_credits") }} as user_periods
    inner join invoiced_periods on user_periods.billing_period = invoiced_periods.billing_period
    where
        user_periods.is_attributed
        and user_periods.credits <> 0

),

invoices_credits as (

    -- Closed and open lines, by service period. Fee and minimum lines have no credits.
    select
        external_user_id,
        service_period as billing_period,
        sum(quantity_credits) as credits
    from {{ ref("fct_invoice_lines") }}
    group by external_user_id, service_period
    having sum(quantity_credits) <> 0

),

vendor as (

    select * from {{ ref("int_vendor_comparison") }}

),

own_steps as (

    {% for before, step, check_name in comparisons %}
    select
        '{{ check_name }}' as check_name,
        coalesce(expected.billing_period, actual.billing_period) as billing_period,
        coalesce(expected.external_user_id, actual.external_user_id) as external_user_id,
        expected.credits as expected_credits,
        actual.credits as actual_credits
    from {{ before }}_credits as expected
    full outer join {{ step }}_credits as actual
        on
            expected.external_user_id = actual.external_user_id
            and expected.billing_period = actual.billing_period
    {{ "union all" if not loop.last }}
    {% endfor %}

),

own_totals as (

    select
        own_steps.check_name,
        own_steps.billing_period,
        null::string as external_user_id,
        sum(own_steps.expected_credits) as expected_credits,
        sum(own_steps.actual_credits) as actual_credits
    from own_steps
    group by own_steps.check_name, own_steps.billing_period

),

own_checks as (

    select
        own_steps.check_name,
        own_steps.billing_period,
        own_steps.external_user_id,
        own_steps.expected_credits,
        own_steps.actual_credits
    from own_steps
    union all
    select
        own_totals.check_name,
        own_totals.billing_period,
        own_totals.external_user_id,
        own_totals.expected_credits,
        own_totals.actual_credits
    from own_totals

),

checks as (

    select
        own_checks.check_name,
        own_checks.billing_period,
        own_checks.external_user_id,
        own_checks.expected_credits,
        own_checks.actual_credits,
        0::decimal(38, 9) as tolerance_credits,
        null::decimal(38, 9) as rejected_credits
    from own_checks
    union all
    select
        case
            when vendor.external_user_id is null then 'facts_vs_vendor_summary' else 'facts_vs_vendor_rollup'
        end as check_name,
        vendor.billing_period,
        vendor.external_user_id,
        vendor.vendor_credits as expected_credits,
        vendor.{{ vendor_attribution() }}_credits as actual_credits,
        -- The vendor adds up unrounded costs. They differ by at most half a nano-credit per session, and as much again if it is split.
        (
            {{ var("reconciliation_tolerance_credits") }}::decimal(38, 9)
            + {{ nano_to_credits("coalesce(vendor.rounded_session_count, 0)") }}
        )::decimal(38, 9) as tolerance_credits,
        vendor.rejected_{{ vendor_attribution() }}_credits as rejected_credits
    from vendor
    union all
    select
        'vendor_rollup_vs_line_items' as check_name,
        vendor.billing_period,
        vendor.external_user_id,
        vendor.vendor_credits as expected_credits,
        vendor.line_item_credits as actual_credits,
        {{ var("reconciliation_tolerance_credits") }}::decimal(38, 9) as tolerance_credits,
        null::decimal(38, 9) as rejected_credits
    from vendor
    where vendor.line_item_credits is not null

),

judged as (

    select
        checks.*,
        case
            when checks.expected_credits is null or checks.actual_credits is null then 'mismatch'
            when abs(checks.actual_credits - checks.expected_credits) <= checks.tolerance_credits then 'ok'
            -- The vendor counted rejected rows, and nothing else differs (rule 38).
            when checks.rejected_credits > 0 and checks.expected_credits - checks.actual_credits = checks.rejected_credits then 'explained'
            else 'mismatch'
        end as status
    from checks

)

select
    judged.check_name,
    judged.billing_period,
    {{ period_start_date("judged.billing_period") }} as period_start_date,
    judged.external_user_id,
    judged.expected_credits::decimal(38, 9) as expected_credits,
    judged.actual_credits::decimal(38, 9) as actual_credits,
    (coalesce(judged.actual_credits, 0) - coalesce(judged.expected_credits, 0))::decimal(38, 9) as difference_credits,
    judged.tolerance_credits,
    judged.status,
    case when judged.status = 'explained' then judged.rejected_credits end::decimal(38, 9) as explained_credits
from judged
