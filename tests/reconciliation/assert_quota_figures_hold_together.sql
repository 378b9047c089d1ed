-- Rules 15 to 17 and 37: each user has all four quotas in each period that has begun. Usage equals the facts. Utilization and
-- status follow exactly from usage and limit. A limit has a moment at which it was reached if and only if usage reached it.
with

quotas as (

    -- Converted to whole numbers only if there is a limit, because each conversion of a decimal takes time.
    select
        *,
        case when limit_value > 0 then {{ credits_to_nano("limit_value") }} end as limit_nano,
        case when limit_value > 0 then {{ credits_to_nano("used_value") }} end as used_nano,
        (utilization::decimal(38, 6) * 1000000)::{{ wide_integer() }} as utilization_millionths
    from {{ ref("fct_quota_utilization") }}

),

user_periods as (

    select * from {{ ref("fct_user_period_credits") }}

),

errors as (

    select
        'four quotas each' as error,
        external_user_id,
        billing_period,
        null::string as quota
    from quotas
    group by external_user_id, billing_period
    -- One bit per quota; counting distinct texts by user and period takes three times as long.
    having
        bit_or(
            case quota when 'credits' then 1 when 'concurrent' then 2 when 'sandboxes' then 4 when 'storage_gb' then 8 else 16 end
        ) <> 15
    union all
    select
        'a user with usage is missing' as error,
        user_periods.external_user_id,
        user_periods.billing_period,
        null::string as quota
    from user_periods
    inner join {{ ref("dim_billing_periods") }} as periods on user_periods.billing_period = periods.billing_period
    {{ anti_join() }} quotas
        on
            user_periods.external_user_id = quotas.external_user_id
            and user_periods.billing_period = quotas.billing_period
    union all
    select
        'a user with a quota is missing' as error,
        holders.external_user_id,
        periods.billing_period,
        null::string as quota
    from (
        select distinct external_user_id
        from {{ ref("int_quota_limits") }}
        where has_quota
    ) as holders
    cross join {{ ref("dim_billing_periods") }} as periods
    {{ anti_join() }} quotas
        on
            holders.external_user_id = quotas.external_user_id
            and periods.billing_period = quotas.billing_period
    union all
    select
        'use' as error,
        quotas.external_user_id,
        quotas.billing_period,
        quotas.quota
    from quotas
    left join user_periods using (external_user_id, billing_period)
    where
        (quotas.quota = 'credits' and quotas.used_value is distinct from coalesce(user_periods.credits, 0))
        or (quotas.quota = 'concurrent' and quotas.used_value is distinct from coalesce(user_periods.peak_concurrent, 0))
        {%- if sandbox_quota_counts() == "created" %}
        -- Usage counts all sandboxes ever run up to the period's end, so at least those of the period.
        or (quotas.quota = 'sandboxes' and coalesce(quotas.used_value < coalesce(user_periods.sandbox_count, 0), true))
        {%- endif %}
    union all
    select
        'utilization' as error,
        external_user_id,
        billing_period,
        quota
    from quotas
    where
        (utilization is not null) <> coalesce(limit_value > 0 and used_value is not null, false)
        -- Rounded by at most half a millionth, or capped at the largest figure of the type.
        or (
            abs(utilization_millionths * limit_nano - used_nano * 1000000) * 2 > limit_nano
            and not (
                utilization_millionths = 999999999999999999
                and utilization_millionths * limit_nano < used_nano * 1000000
            )
        )
    union all
    select
        'status' as error,
        external_user_id,
        billing_period,
        quota
    from quotas
    where
        (
            status = 'warning'
            and used_nano * 100 < limit_nano * {{ var("quota_warning_percent") }}
        )
        or (
            status = 'ok'
            and limit_nano > 0
            and used_nano * 100 >= limit_nano * {{ var("quota_warning_percent") }}
        )
    union all
    select
        'moment of reaching' as error,
        external_user_id,
        billing_period,
        quota
    from quotas
    where
        (quota = 'storage_gb' or limit_value is null)
        and reached_limit_at_utc is not null
        or (
            quota <> 'storage_gb'
            and limit_value > 0
            and (reached_limit_at_utc is not null) <> coalesce(used_value >= limit_value, false)
        )
        or (
            quota in ('concurrent', 'sandboxes')
            and limit_value = 0
            and (reached_limit_at_utc is not null) <> (used_value > 0)
        )
        or (
            date_trunc('month', reached_limit_at_utc - interval 1 microsecond) <> {{ period_start("billing_period") }}
            and date_trunc('month', reached_limit_at_utc) <> {{ period_start("billing_period") }}
        )

)

select * from errors
