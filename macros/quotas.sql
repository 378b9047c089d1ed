{#-
    used ÷ limit, DECIMAL(18,6), half away from zero (rule 16). Null without a limit, and for a limit of zero, which is
    a block, not a measure. Both sides DECIMAL(38,9). A limit of a few nano-credits could push the figure beyond its
    type: it is shown as the largest figure the type holds, rather than failing everybody's build.
-#}
{% macro capped_utilization(used, limit_value) -%}
    -- LEAST skips nulls, so a limit that is none or zero is treated first.
    case
        when {{ limit_value }} > 0
            then least(
                {{ rounded_ratio(credits_to_nano(used), credits_to_nano(limit_value), 6, "decimal(38, 6)") }},
                999999999999.999999::decimal(38, 6)
            )
    end::decimal(18, 6)
{%- endmacro %}

{#- The UTC day as of which quotas are desired: the variable of the same name, else the day on which the build runs. -#}
{% macro quotas_as_of() -%}
    {%- set value = var("quotas_as_of", none) | string -%}
    {%- if var("quotas_as_of", none) is none or value | length == 0 -%}
        date '{{ run_started_at.strftime("%Y-%m-%d") }}'
    {%- elif modules.re.fullmatch("[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", value) is none -%}
        {{ exceptions.raise_compiler_error(
            "the variable quotas_as_of is '" ~ value ~ "': it must be a day like \"2026-10-31\", in quotes"
        ) }}
    {%- else -%}
        date '{{ value }}'
    {%- endif -%}
{%- endmacro %}

{#-
    When use first came to a share of a limit in a period (rules 15 and 17), as SQL of (external_user_id, billing_period,
    quota, threshold_percent, reached_at_utc), for some of the quotas. It reads CTEs: targets (external_user_id,
    billing_period, quota, threshold_percent, limit_value, never null, and used_value), and by quota parts
    (int_session_periods with credits), concurrency (int_concurrency_levels), or sandboxes (int_user_sandboxes) and
    targets.period_start_at_utc.

    Credits: the end of the session part, in order of part end and session id, with which the running sum comes to the share.
    Concurrent, sandboxes: the first instant of the period with use at or over it; a limit of zero is reached by the first
    use. Storage has no moment: only its mean over the period is known.
-#}
{% macro reached_moments(quotas) -%}
    {%- for quota in quotas %}
    {{ {
        "credits": credits_reached_moments, "concurrent": concurrent_reached_moments, "sandboxes": sandboxes_reached_moments,
    }[quota]() }}
    {{ "union all" if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{% macro credits_reached_moments() -%}
    select
        targets.external_user_id,
        targets.billing_period,
        targets.quota,
        targets.threshold_percent,
        min(running.part_end_at_utc) as reached_at_utc
    from targets
    inner join (
        select
            parts.external_user_id,
            parts.billing_period,
            parts.part_end_at_utc,
            sum(parts.credits) over (
                partition by parts.external_user_id, parts.billing_period
                order by parts.part_end_at_utc, parts.session_id
                rows between unbounded preceding and current row
            ) as credits_so_far
        from parts
        -- Where the sum of the period does not come to it, no part of it does.
        {{ semi_join() }} (
            select distinct external_user_id, billing_period from targets
            where
                quota = 'credits'
                and used_value * 100 >= limit_value * threshold_percent
        ) as measured_parts
            on
                parts.external_user_id = measured_parts.external_user_id
                and parts.billing_period = measured_parts.billing_period
    ) as running
        on
            targets.external_user_id = running.external_user_id
            and targets.billing_period = running.billing_period
            and running.credits_so_far * 100 >= targets.limit_value * targets.threshold_percent
    where targets.quota = 'credits'
    group by all
{%- endmacro %}

{% macro concurrent_reached_moments() -%}
    select
        targets.external_user_id,
        targets.billing_period,
        targets.quota,
        targets.threshold_percent,
        min(concurrency.reached_at_utc) as reached_at_utc
    from targets
    inner join concurrency
        on
            targets.external_user_id = concurrency.external_user_id
            and targets.billing_period = concurrency.billing_period
            and concurrency.running_session_count * 100 >= targets.limit_value * targets.threshold_percent
    where
        targets.quota = 'concurrent'
        and targets.used_value * 100 >= targets.limit_value * targets.threshold_percent
    group by all
{%- endmacro %}

{#- The sandbox whose number is the share, or the first one, is the one that came to it. -#}
{% macro sandboxes_reached_moments() -%}
    select
        targets.external_user_id,
        targets.billing_period,
        targets.quota,
        targets.threshold_percent,
        greatest(sandboxes.first_started_at_utc, targets.period_start_at_utc) as reached_at_utc
    from targets
    inner join sandboxes
        on
            targets.external_user_id = sandboxes.external_user_id
            and sandboxes.sandbox_number = greatest(
                {{ ratio_upwards(
                    credits_to_nano("targets.limit_value") ~ " * targets.threshold_percent", "100000000000"
                ) }},
                1
            )
    where
        targets.quota = 'sandboxes'
        and targets.used_value > 0
        and targets.used_value * 100 >= targets.limit_value * targets.threshold_percent
{%- endmacro %}

{#- The variable of the same name, refused with a sentence when it is no list of shares that holds 100. -#}
{% macro quota_alert_percents() -%}
    {%- set percents = var("quota_alert_percents") -%}
    {%- set listed = percents | join(" ") -%}
    {%- if percents is string or not modules.re.fullmatch("([1-9][0-9]{0,2})( [1-9][0-9]{0,2})*", listed) or 100 not in percents -%}
        {{ exceptions.raise_compiler_error(
            "the variable quota_alert_percents is " ~ percents ~ ": it must be a list of whole percents with 100 among them, like [50, 80, 100]"
        ) }}
    {%- endif -%}
    {{ return(percents | unique | sort | list) }}
{%- endmacro %}

{#- The variable of the same name, refused with a sentence when it is no method of fct_quota_forecast. -#}
{% macro quota_forecast_method() -%}
    {%- set method = var("quota_forecast_method") -%}
    {%- if method not in ("run_rate", "last_7_days") -%}
        {{ exceptions.raise_compiler_error(
            "the variable quota_forecast_method is '" ~ method ~ "': it must be run_rate or last_7_days"
        ) }}
    {%- endif -%}
    {{ method }}
{%- endmacro %}
