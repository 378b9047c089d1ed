-- Purpose: what is wrong with currencies, plans, price lists and tiers, whoever is on them, in words (rule 18).
-- Grain: one row per error (error_number).

with

currencies as (

    select * from {{ ref("stg_billing__currencies") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

price_rows as (

    select * from {{ ref("plan_prices") }}

),

plan_prices as (

    select * from {{ ref("stg_billing__plan_prices") }}

),

tiers as (

    select * from {{ ref("stg_billing__plan_price_tiers") }}

),

closed_currencies as (

    select distinct
        currency,
        currency_exponent
    from {{ ref("stg_ledger__closed_invoice_lines") }}

),

repeated as (

    {% for rows, file, columns in [
        ("currencies", "currencies.csv", ["currency"]),
        ("plans", "plans.csv", ["plan_id"]),
        ("plan_prices", "plan_prices.csv", ["plan_id", "valid_from"]),
        ("tiers", "plan_price_tiers.csv", ["plan_id", "valid_from", "tier_from_credits"]),
    ] %}
    select
        {{ "null::string" if rows == "currencies" else rows ~ ".plan_id" }} as plan_id,
        '{{ file }}: ' || concat_ws(
            ', ',
            {%- for column in columns %}
            '{{ column }} ' || {{ quoted_for_message("(" ~ rows ~ "." ~ column ~ ")::string") }}{{ "," if not loop.last }}
            {%- endfor %}
        ) || ' stands there more than once' as message
    from {{ rows }}
    where
        {%- for column in columns %}
        {{ "and " if not loop.first }}{{ rows }}.{{ column }} is not null
        {%- endfor %}
    group by {{ columns | join(", ") }}
    having count(*) > 1
    {{ "union all" if not loop.last }}
    {% endfor %}

),

unknown as (

    select
        plans.plan_id,
        'plans.csv: plan ' || coalesce({{ quoted_for_message("plans.plan_id") }}, 'without an id') || ' is billed in '
        || coalesce({{ quoted_for_message("plans.currency") }}, 'no currency') || ', which is not in currencies.csv' as message
    from plans
    left join currencies on plans.currency = currencies.currency
    where
        plans.plan_id is null
        or currencies.currency is null
    union all
    select
        plan_prices.plan_id,
        'plan_prices.csv: plan ' || coalesce({{ quoted_for_message("plan_prices.plan_id") }}, 'without an id')
        || ' is not in plans.csv' as message
    from plan_prices
    left join plans on plan_prices.plan_id = plans.plan_id
    where plans.plan_id is null
    union all
    select
        tiers.plan_id,
        'plan_price_tiers.csv: plan ' || coalesce({{ quoted_for_message("tiers.plan_id") }}, 'without an id') || ' has no row valid from '
        || tiers.valid_from::string || ' in plan_prices.csv' as message
    from tiers
    -- The rows as typed: a price list of no days may have tiers, and staging drops it.
    left join price_rows
        on
            tiers.plan_id = price_rows.plan_id
            and tiers.valid_from = {{ seed_day("price_rows.valid_from") }}
    where
        price_rows.plan_id is null
        and tiers.valid_from is not null

),

-- Price lists by which nothing can be priced.
unusable as (

    select
        plan_prices.plan_id,
        plan_prices.valid_from as day,
        'plan_prices.csv: plan ' || {{ quoted_for_message("plan_prices.plan_id") }} || ' from ' || plan_prices.valid_from::string || ': '
        || case
            when not coalesce(plan_prices.tier_model in ('graduated', 'volume'), false)
                then
                    'tier_model is ' || coalesce({{ quoted_for_message("plan_prices.tier_model") }}, 'empty')
                    || ', it must be graduated or volume'
            when plan_prices.valid_to < plan_prices.valid_from
                then 'valid_to ' || plan_prices.valid_to::string || ' lies before it'
            else 'its tiers do not start at 0 credits (plan_price_tiers.csv)'
        end as message
    from plan_prices
    left join tiers
        on
            plan_prices.plan_id = tiers.plan_id
            and plan_prices.valid_from = tiers.valid_from
            and tiers.tier_from_credits = 0
    where
        plan_prices.plan_id is not null
        and plan_prices.valid_from is not null
        and (
            tiers.plan_id is null
            or not coalesce(plan_prices.tier_model in ('graduated', 'volume'), false)
            or plan_prices.valid_to < plan_prices.valid_from
        )

),

-- Closed amounts are in the minor units that the currency had when they were closed.
changed_exponents as (

    select
        'currencies.csv: the exponent of ' || {{ quoted_for_message("closed_currencies.currency") }} || ' is '
        || coalesce(currencies.exponent::string, 'gone') || ', in closed invoices it is '
        || closed_currencies.currency_exponent::string as message
    from closed_currencies
    left join currencies on closed_currencies.currency = currencies.currency
    where currencies.exponent is distinct from closed_currencies.currency_exponent

),

errors as (

    select
        'repeated' as error,
        repeated.plan_id,
        null::date as day,
        repeated.message
    from repeated
    union all
    select
        'unknown' as error,
        unknown.plan_id,
        null::date as day,
        unknown.message
    from unknown
    union all
    select
        'unusable' as error,
        unusable.plan_id,
        unusable.day,
        unusable.message
    from unusable
    union all
    select
        'changed_exponent' as error,
        null::string as plan_id,
        null::date as day,
        changed_exponents.message
    from changed_exponents

)

select
    row_number() over (order by errors.message) as error_number,
    errors.error,
    null::string as external_user_id,
    errors.plan_id,
    errors.day,
    errors.message
from errors
