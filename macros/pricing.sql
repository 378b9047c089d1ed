{#-
    Rating: the only place that turns usage into priced lines, both for invoices and for the price of another plan. Each macro is the
    SQL of one step, and reads CTEs of the given names in the model that calls it.
-#}

{#-
    The plan of each user on each billable day (rule 19), as CTEs up to `plan_segments`. Reads periods (billing_period, period_start,
    period_end), user_plans (stg_billing__user_plans), user_periods (the periods in which users have credits: external_user_id,
    billing_period, first_credits_date) and user_days (days with credits: external_user_id, billing_period, usage_date).
-#}
{% macro plan_segment_steps() -%}
assigned as (

    select
        user_plans.external_user_id,
        user_plans.plan_id,
        periods.billing_period,
        greatest(user_plans.valid_from, periods.period_start) as from_date,
        least(coalesce(user_plans.valid_to, periods.period_end), periods.period_end) as to_date
    from user_plans
    inner join periods
        on
            user_plans.valid_from < periods.period_end
            and coalesce(user_plans.valid_to, periods.period_end) > periods.period_start
    where
        user_plans.external_user_id is not null
        and (user_plans.valid_to is null or user_plans.valid_from < user_plans.valid_to)

),

-- Days only have to be compared if no single assignment covers the whole period.
partly_assigned as (

    select
        assigned.external_user_id,
        assigned.billing_period
    from assigned
    inner join periods on assigned.billing_period = periods.billing_period
    group by assigned.external_user_id, assigned.billing_period
    having
        not bool_or(
            assigned.from_date = periods.period_start
            and assigned.to_date = periods.period_end
        )

),

used_unassigned as (

    select
        user_periods.external_user_id,
        user_periods.billing_period,
        user_periods.first_credits_date as usage_date
    from user_periods
    left join assigned
        on
            user_periods.external_user_id = assigned.external_user_id
            and user_periods.billing_period = assigned.billing_period
    where assigned.external_user_id is null
    union all
    select
        user_days.external_user_id,
        user_days.billing_period,
        user_days.usage_date
    from user_days
    inner join partly_assigned
        on
            user_days.external_user_id = partly_assigned.external_user_id
            and user_days.billing_period = partly_assigned.billing_period
    left join assigned
        on
            user_days.external_user_id = assigned.external_user_id
            and user_days.billing_period = assigned.billing_period
            and user_days.usage_date >= assigned.from_date
            and user_days.usage_date < assigned.to_date
    where assigned.external_user_id is null

),

{{ default_day_steps() }},

plan_segments as (

    select
        assigned.external_user_id,
        assigned.billing_period,
        assigned.from_date,
        assigned.to_date,
        assigned.plan_id,
        false as is_default,
        null::date as first_used_date
    from assigned
    union all
    select
        gaps.external_user_id,
        gaps.billing_period,
        gaps.from_date,
        gaps.to_date,
        {{ text_variable("default_plan_id") }} as plan_id,
        true as is_default,
        on_default.first_used_date
    from gaps
    inner join on_default
        on
            gaps.external_user_id = on_default.external_user_id
            and gaps.billing_period = on_default.billing_period
    where gaps.from_date < gaps.to_date

)
{%- endmacro %}

{#- The days of plan_segment_steps() on the default plan, as CTEs up to `gaps`. Reads used_unassigned, assigned and periods. -#}
{% macro default_day_steps() -%}
-- Credits on a single unassigned day put all unassigned days of the period on the default plan.
on_default as (

    select
        used_unassigned.external_user_id,
        used_unassigned.billing_period,
        min(used_unassigned.usage_date) as first_used_date
    from used_unassigned
    inner join periods on used_unassigned.billing_period = periods.billing_period
    group by used_unassigned.external_user_id, used_unassigned.billing_period

),

taken as (

    select
        assigned.external_user_id,
        assigned.billing_period,
        assigned.from_date,
        assigned.to_date
    from assigned
    inner join on_default
        on
            assigned.external_user_id = on_default.external_user_id
            and assigned.billing_period = on_default.billing_period
    union all
    -- An empty run of days at the period's end, so that the gap after the last assignment is found like all others.
    select
        on_default.external_user_id,
        on_default.billing_period,
        periods.period_end as from_date,
        periods.period_end as to_date
    from on_default
    inner join periods on on_default.billing_period = periods.billing_period

),

gaps as (

    select
        taken.external_user_id,
        taken.billing_period,
        lag(taken.to_date, 1, periods.period_start) over (
            partition by taken.external_user_id, taken.billing_period order by taken.from_date, taken.to_date
        ) as from_date,
        taken.from_date as to_date
    from taken
    inner join periods on taken.billing_period = periods.billing_period

)
{%- endmacro %}

{#-
    The price list on each day of plan_segments (external_user_id, billing_period, from_date, to_date, plan_id), as SQL of the
    same columns and price_valid_from (rule 18). Reads plan_prices (stg_billing__plan_prices).
-#}
{% macro price_segments() -%}
    select
        plan_segments.external_user_id,
        plan_segments.billing_period,
        greatest(plan_segments.from_date, plan_prices.valid_from) as from_date,
        least(plan_segments.to_date, coalesce(plan_prices.valid_to, plan_segments.to_date)) as to_date,
        plan_segments.plan_id,
        plan_prices.valid_from as price_valid_from
    from plan_segments
    inner join plan_prices
        on
            plan_segments.plan_id = plan_prices.plan_id
            and plan_segments.to_date > plan_prices.valid_from
            and plan_segments.from_date < coalesce(plan_prices.valid_to, plan_segments.to_date)
    where plan_prices.valid_to is null or plan_prices.valid_from < plan_prices.valid_to
{%- endmacro %}

{#-
    The credits of each rating period, as SQL of its key and nano_credits (rule 20). Reads price_segments (as above) and user_days
    (rows of int_user_days).
-#}
{% macro rating_period_credits() -%}
    select
        price_segments.external_user_id,
        price_segments.billing_period,
        price_segments.plan_id,
        price_segments.price_valid_from,
        {{ wide_sum("user_days.nano_credits") }}::{{ wide_integer() }} as nano_credits
    from price_segments
    inner join user_days
        on
            price_segments.external_user_id = user_days.external_user_id
            and price_segments.billing_period = user_days.billing_period
            and price_segments.from_date <= user_days.usage_date
            and price_segments.to_date > user_days.usage_date
    group by
        price_segments.external_user_id,
        price_segments.billing_period,
        price_segments.plan_id,
        price_segments.price_valid_from
{%- endmacro %}

{#-
    The rating periods (rule 20), as CTEs up to `rating_periods`: fee, minimum and allowance prorated to their days, and the credits
    used on them. Reads price_segments (as above), used (the key of a rating period and nano_credits; those without credits may be
    missing), plan_prices, plans, currencies and periods (billing_period, day_count).
-#}
{% macro rating_periods() -%}
days as (

    select
        price_segments.external_user_id,
        price_segments.billing_period,
        price_segments.plan_id,
        price_segments.price_valid_from,
        sum({{ days_between("price_segments.from_date", "price_segments.to_date") }})::bigint as day_count,
        sum({{ day_mask("price_segments.from_date", "price_segments.to_date") }})::bigint as service_day_mask
    from price_segments
    group by
        price_segments.external_user_id,
        price_segments.billing_period,
        price_segments.plan_id,
        price_segments.price_valid_from

),

terms as (

    select
        days.external_user_id,
        days.billing_period,
        days.plan_id,
        days.price_valid_from,
        days.day_count,
        days.service_day_mask,
        periods.day_count as period_day_count,
        coalesce(plans.plan_name, plans.plan_id) as plan_name,
        plans.currency,
        currencies.exponent as currency_exponent,
        plan_prices.tier_model,
        {{ minor_units(
            credits_to_nano("plan_prices.monthly_fee"), "days.day_count", "periods.day_count", "currencies.exponent"
        ) }}::bigint as fee_minor,
        {{ minor_units(
            credits_to_nano("plan_prices.minimum_charge"), "days.day_count", "periods.day_count", "currencies.exponent"
        ) }}::bigint as minimum_minor,
        -- Rounded down to the nano-credit.
        {{ whole_quotient(credits_to_nano("plan_prices.included_credits") ~ " * days.day_count", "periods.day_count") }} as allowance_nano,
        coalesce(used.nano_credits, 0)::{{ wide_integer() }} as used_nano
    from days
    inner join periods on days.billing_period = periods.billing_period
    inner join plans on days.plan_id = plans.plan_id
    inner join currencies on plans.currency = currencies.currency
    inner join plan_prices
        on
            days.plan_id = plan_prices.plan_id
            and days.price_valid_from = plan_prices.valid_from
    left join used
        on
            days.external_user_id = used.external_user_id
            and days.billing_period = used.billing_period
            and days.plan_id = used.plan_id
            and days.price_valid_from = used.price_valid_from

),

rating_periods as (

    select
        terms.external_user_id,
        terms.billing_period,
        terms.plan_id,
        terms.price_valid_from,
        terms.plan_name,
        terms.currency,
        terms.currency_exponent,
        terms.tier_model,
        terms.service_day_mask,
        terms.day_count,
        terms.period_day_count,
        terms.fee_minor,
        terms.minimum_minor,
        terms.allowance_nano,
        terms.used_nano,
        least(terms.used_nano, terms.allowance_nano) as included_nano
    from terms

)
{%- endmacro %}

{#-
    One key per user and billing period of its plans and their days, as the CTE plan_days_keys: equal keys mean equal plans on every
    day. Price lists are not part of it. Reads rating_periods.
-#}
{% macro plan_days_keys() -%}
plan_day_masks as (

    select
        rating_periods.external_user_id,
        rating_periods.billing_period,
        rating_periods.plan_id,
        sum(rating_periods.service_day_mask)::bigint as service_day_mask
    from rating_periods
    group by rating_periods.external_user_id, rating_periods.billing_period, rating_periods.plan_id

),

plan_days_keys as (

    select
        plan_day_masks.external_user_id,
        plan_day_masks.billing_period,
        md5({{ joined_texts(
            text_key(["plan_day_masks.plan_id", "plan_day_masks.service_day_mask::string"]), "", "plan_day_masks.plan_id"
        ) }}) as plan_days_key
    from plan_day_masks
    group by plan_day_masks.external_user_id, plan_day_masks.billing_period

)
{%- endmacro %}

{#- The columns that a line takes over from its rating period, read from the given step. -#}
{% macro rating_period_columns(step) -%}
    {%- set columns = [
        "external_user_id", "billing_period", "plan_id", "price_valid_from", "plan_name", "currency", "currency_exponent",
        "service_day_mask",
    ] -%}
    {{ step }}.{{ columns | join(", " ~ step ~ ".") }}
{%- endmacro %}

{#-
    The usage lines of each of `rating_periods` (rules 3 and 21), as CTEs up to `usage_lines`. Reads rating_periods and tiers, the latter
    from stg_billing__plan_price_tiers by tiers_in_nano().
-#}
{% macro usage_line_steps() -%}
-- The nano-credits of the rating period that each tier prices, counted from its first one. Graduated: those between the tier's
-- edges. Volume: all after the allowance, at the highest tier that they reach (rule 21).
reached as (

    select
        {{ rating_period_columns("rating_periods") }},
        tiers.tier_from_credits,
        tiers.unit_price,
        case
            when rating_periods.tier_model = 'volume' then rating_periods.included_nano
            else rating_periods.included_nano + tiers.tier_from_nano
        end as start_nano,
        case
            when rating_periods.tier_model = 'volume' or tiers.tier_to_nano is null then rating_periods.used_nano
            else least(rating_periods.included_nano + tiers.tier_to_nano, rating_periods.used_nano)
        end as end_nano
    from rating_periods
    inner join tiers
        on
            rating_periods.plan_id = tiers.plan_id
            and rating_periods.price_valid_from = tiers.valid_from
    where
        case
            when rating_periods.tier_model = 'volume'
                then
                    rating_periods.used_nano - rating_periods.included_nano >= tiers.tier_from_nano
                    and rating_periods.used_nano - rating_periods.included_nano
                    < coalesce(tiers.tier_to_nano, rating_periods.used_nano + 1)
            else rating_periods.used_nano - rating_periods.included_nano > tiers.tier_from_nano
        end

),

usage_lines as (

    select
        {{ rating_period_columns("reached") }},
        'usage' as line_type,
        reached.tier_from_credits,
        reached.unit_price,
        reached.start_nano,
        reached.end_nano,
        {{ minor_units(
            priceable_nano("reached.end_nano - reached.start_nano", credits_to_nano("reached.unit_price")),
            credits_to_nano("reached.unit_price"),
            1,
            "reached.currency_exponent",
            scale=18,
        ) }} as amount_minor,
        case
            when reached.tier_from_credits = 0 then 'usage'
            else 'usage from ' || {{ plain_number("reached.tier_from_credits") }} || ' credits on'
        end
        || ', ' || {{ plain_number("reached.unit_price") }} || ' ' || reached.currency || ' a credit' as description
    from reached

)
{%- endmacro %}

{#-
    The lines of each of `rating_periods`, rounded (rules 3, 20 to 22 and 26), as CTEs up to `lines`. Reads what usage_line_steps()
    reads.
-#}
{% macro rated_line_steps() -%}
{{ usage_line_steps() }},

included_lines as (

    select
        {{ rating_period_columns("rating_periods") }},
        'included' as line_type,
        null::decimal(18, 9) as tier_from_credits,
        0::decimal(18, 9) as unit_price,
        0::{{ wide_integer() }} as start_nano,
        rating_periods.included_nano as end_nano,
        0::bigint as amount_minor,
        'credits included, ' || {{ plain_number(nano_to_credits("rating_periods.allowance_nano")) }}
        || ' for ' || rating_periods.day_count || ' of ' || rating_periods.period_day_count || ' days' as description
    from rating_periods

),

fee_lines as (

    select
        {{ rating_period_columns("rating_periods") }},
        'fee' as line_type,
        null::decimal(18, 9) as tier_from_credits,
        null::decimal(18, 9) as unit_price,
        0::{{ wide_integer() }} as start_nano,
        0::{{ wide_integer() }} as end_nano,
        rating_periods.fee_minor as amount_minor,
        'fee for ' || rating_periods.day_count || ' of ' || rating_periods.period_day_count || ' days' as description
    from rating_periods

),

usage_totals as (

    select
        usage_lines.external_user_id,
        usage_lines.billing_period,
        usage_lines.plan_id,
        usage_lines.price_valid_from,
        sum(usage_lines.amount_minor) as amount_minor
    from usage_lines
    group by
        usage_lines.external_user_id,
        usage_lines.billing_period,
        usage_lines.plan_id,
        usage_lines.price_valid_from

),

-- The rounded minimum less the rounded usage lines; fees do not count towards it.
minimum_lines as (

    select
        {{ rating_period_columns("rating_periods") }},
        'minimum' as line_type,
        null::decimal(18, 9) as tier_from_credits,
        null::decimal(18, 9) as unit_price,
        0::{{ wide_integer() }} as start_nano,
        0::{{ wide_integer() }} as end_nano,
        greatest(rating_periods.minimum_minor - coalesce(usage_totals.amount_minor, 0), 0)::bigint as amount_minor,
        'minimum charge for ' || rating_periods.day_count || ' of ' || rating_periods.period_day_count || ' days' as description
    from rating_periods
    left join usage_totals
        on
            rating_periods.external_user_id = usage_totals.external_user_id
            and rating_periods.billing_period = usage_totals.billing_period
            and rating_periods.plan_id = usage_totals.plan_id
            and rating_periods.price_valid_from = usage_totals.price_valid_from

),

lines as (

    {% for lines in ["fee", "included", "usage", "minimum"] %}
    select
        {{ rating_period_columns(lines ~ "_lines") }},
        line_type,
        tier_from_credits,
        unit_price,
        start_nano,
        end_nano,
        {{ within_money_range(
            "amount_minor", "currency_exponent",
            "'user ' || " ~ quoted_for_message("external_user_id") ~ " || ' on plan ' || " ~ quoted_for_message("plan_id") ~ " || ' in ' || billing_period",
        ) }} as amount_minor,
        description
    from {{ lines }}_lines
    {{ "union all" if not loop.last }}
    {% endfor %}

)
{%- endmacro %}

{#- The tiers of all price lists, with their bounds in nano-credits. -#}
{% macro tiers_in_nano() -%}
    select
        plan_id,
        valid_from,
        tier_from_credits,
        unit_price,
        {{ credits_to_nano("tier_from_credits") }} as tier_from_nano,
        {{ credits_to_nano("tier_to_credits") }} as tier_to_nano
    from {{ ref("stg_billing__plan_price_tiers") }}
{%- endmacro %}
