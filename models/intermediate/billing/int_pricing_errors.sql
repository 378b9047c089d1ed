-- Purpose: everything that is wrong with prices, plans and assignments, in words (rule 18). A row here stops the build
--          before anything is priced: a day that can be billed has exactly one plan and one price list.
-- Grain: one row a error (error_number).
{{ config(
    post_hook={"sql": "{{ stop_on_errors('nothing can be priced, correct the seeds') }}", "transaction": false}
) }}

with

currency_rows as (

    select * from {{ ref("currencies") }}

),

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

tier_rows as (

    select * from {{ ref("plan_price_tiers") }}

),

tiers as (

    select * from {{ ref("stg_billing__plan_price_tiers") }}

),

user_plan_rows as (

    select * from {{ ref("user_plans") }}

),

user_plans as (

    select * from {{ ref("stg_billing__user_plans") }}

),

plan_segments as (

    select * from {{ ref("int_plan_segments") }}

),

price_segments as (

    select * from {{ ref("int_price_segments") }}

),

closed_lines as (

    select * from {{ ref("stg_ledger__closed_invoice_lines") }}

),

closed_currencies as (

    select distinct
        closed_lines.currency,
        closed_lines.currency_exponent
    from closed_lines

),

-- What cannot be read at all, cell by cell.

unreadable as (

    select
        null::string as external_user_id,
        null::string as plan_id,
        'currencies.csv: the exponent of ' || coalesce({{ quoted_for_message("currency_rows.currency") }}, 'a currency without a code')
        || ' is ' || coalesce({{ quoted_for_message("currency_rows.exponent") }}, 'empty') || ', it must be 0, 1, 2 or 3' as message
    from currency_rows
    where
        currency_rows.currency is null
        or not coalesce({{ full_match("currency_rows.exponent", "[0-3]") }}, false)
    union all
    {{ unreadable_cells([
        ("price_rows", "plan_prices.csv", ["plan_id"], [
            ("valid_from", "day", false), ("valid_to", "day", true), ("monthly_fee", "amount", true),
            ("included_credits", "amount", true), ("minimum_charge", "amount", true),
        ]),
        ("tier_rows", "plan_price_tiers.csv", ["plan_id"], [
            ("valid_from", "day", false), ("tier_from_credits", "amount", false), ("unit_price", "amount", false),
        ]),
        ("user_plan_rows", "user_plans.csv", ["external_user_id", "plan_id"], [
            ("valid_from", "day", false), ("valid_to", "day", true),
        ]),
    ]) }}

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
        null::string as external_user_id,
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
        null::string as external_user_id,
        plan_prices.plan_id,
        'plan_prices.csv: plan ' || coalesce({{ quoted_for_message("plan_prices.plan_id") }}, 'without an id')
        || ' is not in plans.csv' as message
    from plan_prices
    left join plans on plan_prices.plan_id = plans.plan_id
    where plans.plan_id is null
    union all
    select
        null::string as external_user_id,
        tiers.plan_id,
        'plan_price_tiers.csv: plan ' || coalesce({{ quoted_for_message("tiers.plan_id") }}, 'without an id') || ' has no row valid from '
        || tiers.valid_from::string || ' in plan_prices.csv' as message
    from tiers
    -- A price list that holds on no day is none, and may have tiers all the same: so the rows as they were typed.
    left join price_rows
        on
            tiers.plan_id = price_rows.plan_id
            and tiers.valid_from = {{ seed_day("price_rows.valid_from") }}
    where
        price_rows.plan_id is null
        and tiers.valid_from is not null
    union all
    select
        user_plans.external_user_id,
        user_plans.plan_id,
        'user_plans.csv: user ' || coalesce({{ quoted_for_message("user_plans.external_user_id") }}, 'without an id') || ' is on plan '
        || coalesce({{ quoted_for_message("user_plans.plan_id") }}, 'without an id')
        || coalesce(' from ' || user_plans.valid_from::string, '') || case
            when user_plans.external_user_id is null then ', which is nobody'
            when user_plans.external_user_id = '{{ unattributed() }}' then ', which stands for nobody and is never invoiced'
            else ', which is not in plans.csv'
        end as message
    from user_plans
    left join plans on user_plans.plan_id = plans.plan_id
    where
        plans.plan_id is null
        or user_plans.external_user_id is null
        or user_plans.external_user_id = '{{ unattributed() }}'

),

-- Price lists that hold nothing to price with.

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

backwards as (

    select
        user_plans.external_user_id,
        user_plans.plan_id,
        user_plans.valid_to as day,
        'user_plans.csv: user ' || coalesce({{ quoted_for_message("user_plans.external_user_id") }}, 'without an id') || ' on plan '
        || coalesce({{ quoted_for_message("user_plans.plan_id") }}, 'without an id') || ' from ' || user_plans.valid_from::string || ': valid_to '
        || user_plans.valid_to::string || ' lies before it' as message
    from user_plans
    where user_plans.valid_to < user_plans.valid_from

),

-- Days on which two price lists of a plan, or two plans of a user, hold.

overlapping_prices as (

    {{ overlapping_ranges("plan_prices", "plan_id") }}

),

price_overlaps as (

    select
        overlapping_prices.plan_id,
        overlapping_prices.valid_from as from_date,
        least(
            coalesce(overlapping_prices.valid_to, date '9999-12-31'), overlapping_prices.earlier_valid_to
        ) as to_date
    from overlapping_prices

),

on_plans as (

    -- Also on days that are not invoiced yet: most overlaps are made there.
    select
        user_plans.external_user_id,
        user_plans.plan_id,
        user_plans.valid_from as from_date,
        coalesce(user_plans.valid_to, date '9999-12-31') as to_date
    from user_plans
    where
        user_plans.external_user_id <> '{{ unattributed() }}'
        and (user_plans.valid_to is null or user_plans.valid_from < user_plans.valid_to)
    union all
    select
        plan_segments.external_user_id,
        plan_segments.plan_id,
        plan_segments.from_date,
        plan_segments.to_date
    from plan_segments
    where plan_segments.is_default

),

priced_twice as (

    -- Of each overlap the first day on which somebody is on the plan; its first day where nobody ever is.
    select
        price_overlaps.plan_id,
        on_plans.external_user_id,
        case
            when on_plans.external_user_id is null then price_overlaps.from_date
            else greatest(price_overlaps.from_date, on_plans.from_date)
        end as day
    from price_overlaps
    left join on_plans
        on
            price_overlaps.plan_id = on_plans.plan_id
            and price_overlaps.from_date < on_plans.to_date
            and price_overlaps.to_date > on_plans.from_date
    qualify
        row_number() over (
            partition by price_overlaps.plan_id, price_overlaps.from_date
            order by
                on_plans.external_user_id is null,
                greatest(price_overlaps.from_date, on_plans.from_date),
                on_plans.external_user_id
        ) = 1

),

plan_overlaps as (

    {{ overlapping_ranges("user_plans", "external_user_id") }}

),

doubled as (

    select
        priced_twice.external_user_id,
        priced_twice.plan_id,
        priced_twice.day,
        'plan_prices.csv: plan ' || {{ quoted_for_message("priced_twice.plan_id") }} || ' has two price lists on '
        || priced_twice.day::string
        || coalesce(', and user ' || {{ quoted_for_message("priced_twice.external_user_id") }} || ' is on it', '') as message
    from priced_twice
    union all
    select
        plan_overlaps.external_user_id,
        plan_overlaps.plan_id,
        plan_overlaps.valid_from as day,
        'user_plans.csv: user ' || {{ quoted_for_message("plan_overlaps.external_user_id") }} || ' is on two plans on '
        || plan_overlaps.valid_from::string || ', ' || coalesce({{ quoted_for_message("plan_overlaps.plan_id") }}, 'one without an id')
        || ' is one of them' as message
    from plan_overlaps

),

-- Days that would be billed and have no plan or no price list.

priced_days as (

    select
        plan_segments.external_user_id,
        plan_segments.plan_id,
        plan_segments.is_default,
        plan_segments.first_used_date,
        plan_segments.from_date,
        plan_segments.to_date,
        plans.plan_id is not null as is_known_plan,
        coalesce(sum({{ days_between("price_segments.from_date", "price_segments.to_date") }}), 0) as day_count
    from plan_segments
    left join plans on plan_segments.plan_id = plans.plan_id
    left join price_segments
        on
            plan_segments.external_user_id = price_segments.external_user_id
            and plan_segments.billing_period = price_segments.billing_period
            and plan_segments.plan_id = price_segments.plan_id
            and plan_segments.from_date <= price_segments.from_date
            and plan_segments.to_date >= price_segments.to_date
    group by
        plan_segments.external_user_id,
        plan_segments.plan_id,
        plan_segments.is_default,
        plan_segments.first_used_date,
        plan_segments.from_date,
        plan_segments.to_date,
        plans.plan_id

),

unpriced_days as (

    select
        priced_days.external_user_id,
        priced_days.plan_id,
        {{ each_step(
            "priced_days.from_date", "(priced_days.to_date - interval 1 day)::date", "1 day", type="date"
        ) }} as day
    from priced_days
    where
        priced_days.is_known_plan
        and priced_days.day_count < {{ days_between("priced_days.from_date", "priced_days.to_date") }}

),

gaps as (

    select
        priced_days.external_user_id,
        priced_days.plan_id,
        priced_days.first_used_date as day,
        'user ' || {{ quoted_for_message("priced_days.external_user_id") }} || ' has credits on ' || priced_days.first_used_date::string
        || ', a day without a plan, and ' || case
            when priced_days.plan_id is null then 'the variable default_plan_id names none'
            else 'the default plan ' || {{ quoted_for_message("priced_days.plan_id") }} || ' is not in plans.csv'
        end as message
    from priced_days
    where
        priced_days.is_default
        and not priced_days.is_known_plan
    union all
    select
        unpriced_days.external_user_id,
        unpriced_days.plan_id,
        min(unpriced_days.day) as day,
        'user ' || {{ quoted_for_message("unpriced_days.external_user_id") }} || ' is on plan ' || {{ quoted_for_message("unpriced_days.plan_id") }}
        || ' on ' || min(unpriced_days.day)::string || ', a day without a price list in plan_prices.csv' as message
    from unpriced_days
    where not exists (
        select price_segments.plan_id
        from price_segments
        where
            price_segments.external_user_id = unpriced_days.external_user_id
            and price_segments.plan_id = unpriced_days.plan_id
            and price_segments.from_date <= unpriced_days.day
            and price_segments.to_date > unpriced_days.day
    )
    group by unpriced_days.external_user_id, unpriced_days.plan_id

),

-- Closed amounts are counted in the minor units of their time.

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
        'unreadable' as error,
        unreadable.external_user_id,
        unreadable.plan_id,
        null::date as day,
        unreadable.message
    from unreadable
    union all
    select
        'repeated' as error,
        null::string as external_user_id,
        repeated.plan_id,
        null::date as day,
        repeated.message
    from repeated
    union all
    select
        'unknown' as error,
        unknown.external_user_id,
        unknown.plan_id,
        null::date as day,
        unknown.message
    from unknown
    union all
    select
        'changed_exponent' as error,
        null::string as external_user_id,
        null::string as plan_id,
        null::date as day,
        changed_exponents.message
    from changed_exponents
    union all
    select
        'unusable' as error,
        null::string as external_user_id,
        unusable.plan_id,
        unusable.day,
        unusable.message
    from unusable
    {%- for kind in ["backwards", "doubled", "gaps"] %}
    union all
    select
        '{{ {"doubled": "overlap", "gaps": "gap"}.get(kind, kind) }}' as error,
        {{ kind }}.external_user_id,
        {{ kind }}.plan_id,
        {{ kind }}.day,
        {{ kind }}.message
    from {{ kind }}
    {%- endfor %}

)

select
    -- What cannot be read comes first: an end that is unreadable makes overlaps that are none.
    row_number() over (
        order by errors.error <> 'unreadable', errors.error <> 'overlap', errors.error = 'gap', errors.message
    ) as error_number,
    errors.error,
    errors.external_user_id,
    errors.plan_id,
    errors.day,
    errors.message
from errors
