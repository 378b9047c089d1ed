-- A reconciliation without rows proves nothing (rules 32 to 34). So each period with credits has a total for each of our own
-- steps; for the last step, from the first invoiced period. A complete period also has a total for the vendor's summary.
with

expected_checks as (

    select
        periods.billing_period,
        checks.check_name
    from (select distinct billing_period from {{ ref("int_user_periods") }}) as periods
    cross join (
        values
        ('raw_vs_staging'),
        ('staging_vs_session_periods'),
        ('session_periods_vs_user_days'),
        ('user_days_vs_user_periods')
    ) as checks (check_name)
    union all
    select
        complete_periods.billing_period,
        'facts_vs_vendor_summary' as check_name
    from {{ ref("dim_billing_periods") }} as complete_periods
    inner join {{ ref("fct_user_period_credits") }} as facts
        on complete_periods.billing_period = facts.billing_period
    where complete_periods.is_complete
    group by complete_periods.billing_period
    union all
    select
        invoiced_periods.billing_period,
        'user_periods_vs_invoices' as check_name
    from {{ ref("int_billing_periods") }} as invoiced_periods
    inner join {{ ref("fct_user_period_credits") }} as facts
        on invoiced_periods.billing_period = facts.billing_period
    where
        facts.is_attributed
        and facts.credits <> 0
    group by invoiced_periods.billing_period

)

select expected_checks.*
from expected_checks
left join {{ ref("rpt_reconciliation") }} as reconciliation
    on
        expected_checks.check_name = reconciliation.check_name
        and expected_checks.billing_period = reconciliation.billing_period
        and reconciliation.external_user_id is null
where reconciliation.status is null
