-- Rules 10 and 37: in every mart and period, users and `(unattributed)` sum to the total of the sessions that count.
{%- set marts = {
    "fct_session_period_credits": "credits",
    "fct_user_day_credits": "credits",
    "fct_user_period_credits": "credits",
    "fct_quota_utilization": "used_value",
} %}

with

totals as (

    select
        billing_period,
        sum(credits)::decimal(38, 9) as credits
    from {{ ref("rpt_credits_by_pipeline_step") }}
    where step = 'staging'
    group by billing_period

),

mart_totals as (

    {% for mart, measure in marts.items() %}
    select
        '{{ mart }}' as mart,
        billing_period,
        sum({{ measure }}) as credits
    from {{ ref(mart) }}
    {%- if mart == "fct_quota_utilization" %}
    where quota = 'credits'
    {%- endif %}
    group by billing_period
    {{ "union all" if not loop.last }}
    {% endfor %}

),

expected as (

    select
        totals.billing_period,
        totals.credits,
        marts.mart
    from totals
    cross join (
        values
        {% for mart in marts %}
        ('{{ mart }}'){{ "," if not loop.last }}
        {% endfor %}
    ) as marts (mart)
    -- Quotas have rows only for months that have begun (rule 37).
    where
        marts.mart <> 'fct_quota_utilization'
        or totals.billing_period <= (
            select {{ billing_period("max(loads.started_at_utc)") }} from {{ ref("stg_miosa__loads") }} as loads
        )

)

select
    coalesce(expected.mart, mart_totals.mart) as mart,
    coalesce(expected.billing_period, mart_totals.billing_period) as billing_period,
    expected.credits as total_credits,
    mart_totals.credits as mart_credits
from expected
full outer join mart_totals
    on
        expected.mart = mart_totals.mart
        and expected.billing_period = mart_totals.billing_period
-- A period with quotas but without usage is in the quota mart only, with usage of 0.
where coalesce(expected.credits, 0) <> coalesce(mart_totals.credits, 0)
