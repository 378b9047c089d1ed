-- Purpose: from what we invoice our users to what the vendor counts for the month, step by step, so that each credit of the difference is
--          named or is `unexplained`.
-- Grain: one row per complete billing period with a figure of the vendor's, and step (billing_period, step). The steps before the last sum
--        to it.
-- 1 credit is 1 US cent at the vendor.

with

comparison as (

    -- The totals of complete periods.
    select * from {{ ref("rpt_vendor_attribution") }}
    where external_user_id is null

),

rejected as (

    select
        rejected_credits.billing_period,
        sum(rejected_credits.split_nano_credits) as split_nano_credits,
        sum(rejected_credits.{{ vendor_attribution() }}_nano_credits) as attributed_nano_credits
    from {{ ref("int_rejected_credits") }} as rejected_credits
    group by rejected_credits.billing_period

),

rounded_costs as (

    select * from {{ ref("int_rounded_costs") }}

),

invoice_lines as (

    select
        service_period,
        sum(quantity_credits) as credits
    from {{ ref("fct_invoice_lines") }}
    group by service_period

),

unbilled as (

    select
        billing_period,
        sum(case when reason = 'unattributed' then credits else 0 end) as unattributed_credits,
        sum(case when reason = 'before_first_period' then credits else 0 end) as before_first_credits
    from {{ ref("rpt_unbilled_usage") }}
    group by billing_period

),

vendor_invoices as (

    -- Invoices of exactly the month. Others cannot be bridged by month; rpt_vendor_invoices compares them.
    select
        {{ billing_period("invoices.period_start_at_utc") }} as billing_period,
        sum(invoices.vendor_credits) as credits
    from {{ ref("rpt_vendor_invoices") }} as invoices
    where
        invoices.period_start_at_utc = date_trunc('month', invoices.period_start_at_utc)
        and invoices.period_end_at_utc = invoices.period_start_at_utc + interval 1 month
        and invoices.currency = 'USD'
        and coalesce(invoices.invoice_status, '') <> 'void'
    group by {{ billing_period("invoices.period_start_at_utc") }}

),

figures as (

    select
        comparison.billing_period,
        coalesce(rounded_costs.row_count, 0) as rounded_session_count,
        vendor_invoices.billing_period is not null as has_invoice,
        coalesce(vendor_invoices.credits, comparison.vendor_credits)::decimal(38, 9) as vendor_credits,
        coalesce(invoice_lines.credits, 0)::decimal(38, 9) as invoiced_credits,
        coalesce(unbilled.unattributed_credits, 0)::decimal(38, 9) as unattributed_credits,
        coalesce(unbilled.before_first_credits, 0)::decimal(38, 9) as before_first_credits,
        -- An invoice is cut at its instants; only the summary may count sessions as a whole.
        case
            when vendor_invoices.billing_period is null then comparison.{{ vendor_attribution() }}_credits - comparison.split_credits
            else 0
        end::decimal(38, 9) as crossing_credits,
        {{ nano_to_credits(
            "coalesce(case when vendor_invoices.billing_period is null then rejected.attributed_nano_credits else rejected.split_nano_credits end, 0)"
        ) }} as rejected_credits
    from comparison
    left join vendor_invoices on comparison.billing_period = vendor_invoices.billing_period
    left join invoice_lines on comparison.billing_period = invoice_lines.service_period
    left join unbilled on comparison.billing_period = unbilled.billing_period
    left join rejected on comparison.billing_period = rejected.billing_period
    left join rounded_costs on comparison.billing_period = rounded_costs.billing_period
    where
        vendor_invoices.billing_period is not null
        or comparison.vendor_credits is not null

),

known as (

    select
        figures.*,
        figures.vendor_credits - figures.invoiced_credits - figures.unattributed_credits - figures.before_first_credits
        - figures.crossing_credits as rest_credits
    from figures

),

judged as (

    -- Whether the vendor counts rows that we reject cannot be read anywhere: it does if that leaves less of a difference.
    select
        known.*,
        case
            when abs(known.rest_credits - known.rejected_credits) < abs(known.rest_credits) then known.rejected_credits else 0
        end as counted_rejected_credits
    from known

),

rounded as (

    -- A vendor's figure in whole credits may be rounded, once. Otherwise only costs that were rounded when read (rule 1) move anything.
    select
        judged.*,
        judged.rest_credits - judged.counted_rejected_credits as unrounded_credits,
        case
            when judged.vendor_credits
                = round(judged.vendor_credits - judged.rest_credits + judged.counted_rejected_credits, 0)
                then judged.rest_credits - judged.counted_rejected_credits
            when
                abs(judged.rest_credits - judged.counted_rejected_credits)
                <= judged.rounded_session_count * 0.000000001::decimal(18, 9)
                then judged.rest_credits - judged.counted_rejected_credits
            else 0
        end as rounding_credits
    from judged

)

{% for step, credits, note in [
    ("invoiced_users", "rounded.invoiced_credits", "'on invoice lines, adjustments included'"),
    ("unattributed", "rounded.unattributed_credits", "'usage that belongs to nobody'"),
    ("before_first_period", "rounded.before_first_credits", "'usage of users before the first invoiced period'"),
    ("crossing_sessions", "rounded.crossing_credits",
     "'sessions across the end of the month: vendor_attribution is " ~ vendor_attribution() ~ "'"),
    ("rejected", "rounded.counted_rejected_credits",
     "case when rounded.rejected_credits = 0 then 'no rejected rows with a readable cost'"
     ~ " else " ~ plain_number("rounded.rejected_credits") ~ " || ' credits of rejected rows are '"
     ~ " || case when rounded.counted_rejected_credits = 0 then 'not ' else '' end || 'in the vendor''s figure' end"),
    ("rounding", "rounded.rounding_credits", "'the vendor''s whole credits, or costs with more than 9 decimals'"),
    ("unexplained", "rounded.unrounded_credits - rounded.rounding_credits", "'what no step explains: rpt_reconciliation compares users'"),
    ("vendor", "rounded.vendor_credits",
     "case when rounded.has_invoice then 'the vendor''s invoice of the month' else 'the vendor''s usage summary' end"),
] %}
select
    rounded.billing_period,
    {{ period_start_date("rounded.billing_period") }} as period_start_date,
    {{ loop.index }}::bigint as step_number,
    '{{ step }}' as step,
    ({{ credits }})::decimal(38, 9) as credits,
    {{ "true" if step == "vendor" else "false" }} as is_total,
    case when rounded.has_invoice then 'invoice' else 'summary' end as vendor_source,
    {{ note }} as note
from rounded
{{ "union all" if not loop.last }}
{% endfor %}
