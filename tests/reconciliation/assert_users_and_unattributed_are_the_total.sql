-- Rule 10: in every mart and period, users and unattributed together are the total of the sessions that count.
with

totals as (

    select
        billing_period,
        {{ nano_to_credits("sum(nano_credits)") }} as credits
    from {{ ref("int_session_months") }}
    group by billing_period

),

marts as (

    {% for mart in ["fct_session_period_credits", "fct_user_day_credits", "fct_user_period_credits"] %}
    select
        '{{ mart }}' as mart,
        billing_period,
        sum(credits) as credits
    from {{ ref(mart) }}
    group by billing_period
    union all
    {% endfor %}
    select
        'fct_quota_utilization' as mart,
        billing_period,
        sum(used_value) as credits
    from {{ ref("fct_quota_utilization") }}
    where
        quota = 'credits'
        and billing_period in (select billing_period from totals)
    group by billing_period

)

select
    marts.mart,
    marts.billing_period,
    marts.credits,
    totals.credits as total_credits
from marts
left join totals on marts.billing_period = totals.billing_period
where marts.credits is distinct from totals.credits
