-- Purpose: from what we invoice our users to what the vendor counts for the month, step by step, so that each credit of the difference is
--          named or is `unexplained`.
-- Grain: one row per complete billing period with a figure of the vendor's, and step (billing_period, step). The steps before the last sum
--        to it.
-- 1 credit is 1 US cent at the vendor.

with

periods as (

    select * from {{ ref("int_usage_periods") }}
    where is_complete

),

billing_periods as (

    select * from {{ ref("int_billing_periods") }}

),

user_periods as (

    select * from {{ ref("int_user_periods") }}

),

invoice_lines as (

    select
        service_period,
        sum(quantity_credits)::decimal(38, 9) as credits
    from {{ ref("fct_invoice_lines") }}
    group by service_period

),

rejected as (

    select
        rejected_credits.billing_period,
        {{ nano_to_credits("sum(rejected_credits." ~ vendor_attribution() ~ "_nano_credits)") }} as attributed_credits,
        {{ nano_to_credits("sum(rejected_credits.split_nano_credits)") }} as split_credits
    from {{ ref("int_rejected_credits") }} as rejected_credits
    group by rejected_credits.billing_period

),

summaries as (

    select * from {{ ref("stg_miosa__usage_summaries") }}
    where rejection_reason is null

),

vendor_invoices as (

    -- Invoices of exactly the month; others cannot be bridged by month (rpt_vendor_invoices compares them).
    select
        periods.billing_period,
        sum(invoices.vendor_credits) as credits
    from {{ ref("rpt_vendor_invoices") }} as invoices
    inner join periods
        on
            invoices.period_start_at_utc = periods.period_start_at_utc
            and invoices.period_end_at_utc = periods.period_end_at_utc
    where
        invoices.currency = 'USD'
        and coalesce(invoices.invoice_status, '') <> 'void'
    group by periods.billing_period

),

ours as (

    select
        user_periods.billing_period,
        sum(case when user_periods.external_user_id = '{{ unattributed() }}' then user_periods.nano_credits else 0 end) as unattributed_nano,
        sum(
            case
                when user_periods.external_user_id <> '{{ unattributed() }}' and billing_periods.billing_period is null
                    then user_periods.nano_credits
                else 0
            end
        ) as before_first_nano,
        sum(
            user_periods.{{ {"split": "", "start": "started_", "end": "ended_"}[vendor_attribution()] }}nano_credits - user_periods.nano_credits
        ) as crossing_nano,
        sum(user_periods.rounded_session_count) as rounded_session_count
    from user_periods
    left join billing_periods on user_periods.billing_period = billing_periods.billing_period
    group by user_periods.billing_period

),

figures as (

    select
        periods.billing_period,
        case when vendor_invoices.billing_period is not null then 'invoice' else 'summary' end as vendor_source,
        coalesce(vendor_invoices.credits, summaries.credits)::decimal(38, 9) as vendor_credits,
        coalesce(invoice_lines.credits, 0)::decimal(38, 9) as invoiced_credits,
        {{ nano_to_credits("coalesce(ours.unattributed_nano, 0)") }} as unattributed_credits,
        {{ nano_to_credits("coalesce(ours.before_first_nano, 0)") }} as before_first_credits,
        -- An invoice is cut at its instants; only the summary may count sessions as a whole.
        case
            when vendor_invoices.billing_period is null then {{ nano_to_credits("coalesce(ours.crossing_nano, 0)") }} else 0
        end::decimal(38, 9) as crossing_credits,
        coalesce(
            case when vendor_invoices.billing_period is null then rejected.attributed_credits else rejected.split_credits end, 0
        )::decimal(38, 9) as rejected_credits,
        coalesce(ours.rounded_session_count, 0) as rounded_session_count
    from periods
    left join vendor_invoices on periods.billing_period = vendor_invoices.billing_period
    left join summaries on periods.billing_period = summaries.billing_period
    left join invoice_lines on periods.billing_period = invoice_lines.service_period
    left join ours on periods.billing_period = ours.billing_period
    left join rejected on periods.billing_period = rejected.billing_period
    where
        vendor_invoices.billing_period is not null
        or summaries.billing_period is not null

),

known as (

    select
        figures.*,
        figures.invoiced_credits + figures.unattributed_credits + figures.before_first_credits + figures.crossing_credits as our_credits
    from figures

),

-- Whether the vendor counts rows that we reject cannot be read anywhere: it does if that leaves less of a difference.
judged as (

    select
        known.*,
        known.rejected_credits > 0
        and abs(known.vendor_credits - known.our_credits - known.rejected_credits) < abs(known.vendor_credits - known.our_credits)
            as has_rejected
    from known

),

counted as (

    select
        judged.*,
        case when judged.has_rejected then judged.rejected_credits else 0 end::decimal(38, 9) as counted_rejected_credits,
        judged.our_credits + case when judged.has_rejected then judged.rejected_credits else 0 end as explained_credits
    from judged

),

-- A vendor's figure in whole credits may be rounded, once. Otherwise only costs that we rounded when we read them (rule 1) move anything.
rounded as (

    select
        counted.*,
        case
            when counted.vendor_credits = round(counted.explained_credits, 0) then counted.vendor_credits - counted.explained_credits
            when
                abs(counted.vendor_credits - counted.explained_credits) <= counted.rounded_session_count * 0.000000001::decimal(18, 9)
                then counted.vendor_credits - counted.explained_credits
            else 0
        end::decimal(38, 9) as rounding_credits
    from counted

)

{% for step, credits, note in [
    ("invoiced_users", "rounded.invoiced_credits", "'on invoice lines, adjustments included'"),
    ("unattributed", "rounded.unattributed_credits", "'usage that belongs to nobody'"),
    ("before_first_period", "rounded.before_first_credits", "'usage of users before the first invoiced period'"),
    ("crossing_sessions", "rounded.crossing_credits",
     "'sessions that cross the end of the month, which the vendor counts by: " ~ vendor_attribution() ~ "'"),
    ("rejected", "rounded.counted_rejected_credits",
     "case when rounded.rejected_credits = 0 then 'no rejected rows with a readable cost'"
     ~ " else rounded.rejected_credits::string || ' credits of rejected rows are '"
     ~ " || case when rounded.has_rejected then '' else 'not ' end || 'in the vendor''s total' end"),
    ("rounding", "rounded.rounding_credits", "'the vendor''s whole credits, or costs with more than 9 decimals'"),
    ("unexplained", "rounded.vendor_credits - rounded.explained_credits - rounded.rounding_credits",
     "'what no step explains: rpt_reconciliation lists it by user'"),
    ("vendor", "rounded.vendor_credits",
     "case when rounded.vendor_source = 'invoice' then 'the vendor''s invoice of the month' else 'the vendor''s usage summary' end"),
] %}
select
    rounded.billing_period,
    {{ period_start_date("rounded.billing_period") }} as period_start_date,
    {{ loop.index }}::bigint as step_number,
    '{{ step }}' as step,
    ({{ credits }})::decimal(38, 9) as credits,
    {{ "true" if step == "vendor" else "false" }} as is_total,
    rounded.vendor_source,
    {{ note }} as note
from rounded
{{ "union all" if not loop.last }}
{% endfor %}
