{#-
    used ÷ limit_value as DECIMAL(18,6), rounded half away from zero (rule 16). Both arguments are DECIMAL(38,9). Null without a
    limit or a measured use, and for a limit of zero, which blocks usage. With a limit of a few nano-credits the share may exceed its type. It is
    then capped at the largest value of the type, so that the build does not fail.
-#}
{% macro capped_utilization(used, limit_value) -%}
    -- LEAST skips nulls, so they are handled first, and so is a limit of zero.
    case
        when {{ limit_value }} > 0 and {{ used }} is not null
            then least(
                {{ rounded_ratio(credits_to_nano(used), credits_to_nano(limit_value), 6, "decimal(38, 6)") }},
                999999999999.999999::decimal(38, 6)
            )
    end::decimal(18, 6)
{%- endmacro %}

{#- The UTC day whose desired limits count: the variable quotas_as_of, else the day of the build. -#}
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
    When usage first reached a share of a limit in a period (rules 15 and 17), for the given quotas. Returns SQL of
    (external_user_id, billing_period, quota, threshold_percent, reached_at_utc). It reads these CTEs: targets
    (external_user_id, billing_period, quota, threshold_percent, limit_value, which is never null, and used_value); for credits
    also parts (int_session_periods with credits); for concurrent also concurrency (int_concurrency_levels); for sandboxes
    also sandboxes (counted_sandboxes) and targets.period_start_at_utc.

    Credits: the end of the session part with which the running sum, by part end and session id, reaches the share.
    Concurrent and sandboxes: the first instant of the period with usage at or over the share. The first usage reaches a limit
    of zero. Storage has no moment: only its mean over the period is known.
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
        -- If the sum of the period does not reach the share, no running sum does.
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

{#- The share is reached by the sandbox whose number equals it, rounded up; at least by the first sandbox. Sandboxes are numbered in
    the order in which a user first ran them, or with sandbox_quota_counts `owned` by how many the user owned at once. -#}
{% macro sandboxes_reached_moments() -%}
    {%- set is_owned = sandbox_quota_counts() == "owned" %}
    select
        targets.external_user_id,
        targets.billing_period,
        targets.quota,
        targets.threshold_percent,
        {{ "sandboxes.reached_at_utc" if is_owned
            else "greatest(sandboxes.first_started_at_utc, targets.period_start_at_utc) as reached_at_utc" }}
    from targets
    inner join sandboxes
        on
            targets.external_user_id = sandboxes.external_user_id
            {{ "and targets.billing_period = sandboxes.billing_period" if is_owned }}
            and {{ "sandboxes.owned_sandbox_count" if is_owned else "sandboxes.sandbox_number" }} = greatest(
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

{#- The model that sandboxes_reached_moments reads as the CTE `sandboxes`. Both are referred to, so that dbt knows of either before it
    knows the variable. -#}
{% macro counted_sandboxes() -%}
    {%- set models = {"created": ref("int_user_sandboxes"), "owned": ref("int_owned_sandbox_counts")} -%}
    {{ return(models[sandbox_quota_counts()]) }}
{%- endmacro %}

{#- The variable of the same name. Fails with a message if it is not a way of counting sandboxes (rule 15). -#}
{% macro sandbox_quota_counts() -%}
    {%- set way = var("sandbox_quota_counts") -%}
    {%- if way not in ("created", "owned") -%}
        {{ exceptions.raise_compiler_error(
            "the variable sandbox_quota_counts is '" ~ way ~ "': it must be created or owned"
        ) }}
    {%- endif -%}
    {{ return(way) }}
{%- endmacro %}

{#- The variable of the same name. Fails with a message if it is not a list of whole percents that includes 100. -#}
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

{#- The variable of the same name. Fails with a message if it is not a method of fct_quota_forecast. -#}
{% macro quota_forecast_method() -%}
    {%- set method = var("quota_forecast_method") -%}
    {%- if method not in ("run_rate", "last_7_days") -%}
        {{ exceptions.raise_compiler_error(
            "the variable quota_forecast_method is '" ~ method ~ "': it must be run_rate or last_7_days"
        ) }}
    {%- endif -%}
    {{ method }}
{%- endmacro %}
