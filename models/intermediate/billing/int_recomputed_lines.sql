-- Purpose: the recomputation (rule 26): what each user's periods come to by today's sessions and prices, line by line,
--          made and rounded as if no period had ever been closed.
-- Grain: one row a user, billing period, plan, price list, line type and tier
--        (external_user_id, billing_period, plan_id, price_valid_from, line_type, tier_from_credits).

with

stretches as (

    select * from {{ ref("int_stretches") }}

),

tiers as (

    select
        plan_id,
        valid_from,
        tier_from_credits,
        unit_price,
        {{ credits_to_nano("tier_from_credits") }} as tier_from_nano,
        {{ credits_to_nano("tier_to_credits") }} as tier_to_nano
    from {{ ref("stg_billing__plan_price_tiers") }}

),

-- Which of the stretch's nano-credits, counted from its first, each tier prices. Graduated: those between its edges.
-- Volume: all after the allowance, at the highest tier that they reach (rule 21).
reached as (

    select
        stretches.external_user_id,
        stretches.billing_period,
        stretches.plan_id,
        stretches.price_valid_from,
        stretches.plan_name,
        stretches.currency,
        stretches.currency_exponent,
        tiers.tier_from_credits,
        tiers.unit_price,
        case
            when stretches.tier_model = 'volume' then stretches.included_nano
            else stretches.included_nano + tiers.tier_from_nano
        end as from_nano,
        case
            when stretches.tier_model = 'volume' or tiers.tier_to_nano is null then stretches.used_nano
            else least(stretches.included_nano + tiers.tier_to_nano, stretches.used_nano)
        end as to_nano
    from stretches
    inner join tiers
        on
            stretches.plan_id = tiers.plan_id
            and stretches.price_valid_from = tiers.valid_from
    where
        case
            when stretches.tier_model = 'volume'
                then
                    stretches.used_nano - stretches.included_nano >= tiers.tier_from_nano
                    and stretches.used_nano - stretches.included_nano
                    < coalesce(tiers.tier_to_nano, stretches.used_nano + 1)
            else stretches.used_nano - stretches.included_nano > tiers.tier_from_nano
        end

),

usage_lines as (

    select
        reached.external_user_id,
        reached.billing_period,
        reached.plan_id,
        reached.price_valid_from,
        reached.plan_name,
        reached.currency,
        reached.currency_exponent,
        'usage' as line_type,
        reached.tier_from_credits,
        reached.unit_price,
        reached.from_nano,
        reached.to_nano,
        {{ minor_units(
            "reached.to_nano - reached.from_nano",
            credits_to_nano("reached.unit_price"),
            1,
            "reached.currency_exponent",
            scale=18,
        ) }} as amount_minor,
        case
            when reached.tier_from_credits = 0 then 'usage'
            else 'usage from ' || {{ plain_number("reached.tier_from_credits") }} || ' credits on'
        end
        || ', ' || {{ plain_number("reached.unit_price") }} || ' ' || reached.currency || ' a credit' as what
    from reached

),

included_lines as (

    select
        stretches.external_user_id,
        stretches.billing_period,
        stretches.plan_id,
        stretches.price_valid_from,
        stretches.plan_name,
        stretches.currency,
        stretches.currency_exponent,
        'included' as line_type,
        null::decimal(18, 9) as tier_from_credits,
        0::decimal(18, 9) as unit_price,
        0::hugeint as from_nano,
        stretches.included_nano as to_nano,
        0::bigint as amount_minor,
        'credits included, ' || {{ plain_number(nano_to_credits("stretches.allowance_nano")) }}
        || ' for ' || stretches.day_count || ' of ' || stretches.period_day_count || ' days' as what
    from stretches

),

fee_lines as (

    select
        stretches.external_user_id,
        stretches.billing_period,
        stretches.plan_id,
        stretches.price_valid_from,
        stretches.plan_name,
        stretches.currency,
        stretches.currency_exponent,
        'fee' as line_type,
        null::decimal(18, 9) as tier_from_credits,
        null::decimal(18, 9) as unit_price,
        0::hugeint as from_nano,
        0::hugeint as to_nano,
        stretches.fee_minor as amount_minor,
        'fee for ' || stretches.day_count || ' of ' || stretches.period_day_count || ' days' as what
    from stretches

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

-- What the rounded usage lines fall short of the rounded minimum; fees do not count towards it.
minimum_lines as (

    select
        stretches.external_user_id,
        stretches.billing_period,
        stretches.plan_id,
        stretches.price_valid_from,
        stretches.plan_name,
        stretches.currency,
        stretches.currency_exponent,
        'minimum' as line_type,
        null::decimal(18, 9) as tier_from_credits,
        null::decimal(18, 9) as unit_price,
        0::hugeint as from_nano,
        0::hugeint as to_nano,
        greatest(stretches.minimum_minor - coalesce(usage_totals.amount_minor, 0), 0)::bigint as amount_minor,
        'minimum charge for ' || stretches.day_count || ' of ' || stretches.period_day_count || ' days' as what
    from stretches
    left join usage_totals
        on
            stretches.external_user_id = usage_totals.external_user_id
            and stretches.billing_period = usage_totals.billing_period
            and stretches.plan_id = usage_totals.plan_id
            and stretches.price_valid_from = usage_totals.price_valid_from

),

lines as (

    {% for lines in ["fee", "included", "usage", "minimum"] %}
    select
        external_user_id,
        billing_period,
        plan_id,
        price_valid_from,
        plan_name,
        currency,
        currency_exponent,
        line_type,
        tier_from_credits,
        unit_price,
        from_nano,
        to_nano,
        amount_minor,
        what
    from {{ lines }}_lines
    {{ "union all" if not loop.last }}
    {% endfor %}

)

select
    lines.external_user_id,
    lines.billing_period,
    lines.plan_id,
    lines.price_valid_from,
    lines.line_type,
    lines.tier_from_credits,
    lines.currency,
    lines.currency_exponent,
    lines.unit_price,
    lines.from_nano,
    lines.to_nano,
    (lines.to_nano - lines.from_nano)::hugeint as quantity_nano,
    lines.amount_minor,
    lines.plan_name || ': ' || lines.what as description
from lines
where lines.to_nano > lines.from_nano or lines.amount_minor <> 0
