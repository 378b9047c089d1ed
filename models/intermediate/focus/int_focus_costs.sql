-- Purpose: what the platform pays the vendor for usage, by day and sandbox. Closed periods are as the ledger froze them; what became known
--          later about their days is a correction in the first open period.
-- Grain: one row per billing period, UTC day, user, project, workspace, sandbox, price and currency
--        (billing_period, usage_date, external_user_id, external_project_id, workspace_id, sandbox_id, unit_price, currency).
-- Periods that an earlier version closed, without costs, show today's usage. Corrections compare all closed days with today's, so tests of
-- a partial build leave them out.
{{ config(
    materialized="view",
    meta={"changes": "open_periods", "changed_keys": ["billing_period"], "changed_where": "not is_correction"},
) }}
{%- set key = ["external_user_id", "external_project_id", "workspace_id", "sandbox_id"] %}

with

session_days as (

    select * from {{ ref("int_session_days") }}

),

closed_costs as (

    select
        *,
        {{ credits_to_nano("credits") }} as nano_credits,
        {{ billing_period("usage_date") }} as usage_period
    from {{ ref("stg_ledger__closed_costs") }}

),

frozen_periods as (

    select billing_period from {{ ref("stg_ledger__closed_periods") }}
    where cost_row_count is not null

),

periods as (

    select * from {{ ref("int_billing_periods") }}
    where is_first_open

),

vendor_prices as (

    select * from {{ ref("int_vendor_prices") }}

),

usage_days as (

    select
        session_days.usage_date,
        session_days.billing_period,
        {%- for column in key %}
        session_days.{{ column }},
        {%- endfor %}
        {{ wide_sum("session_days.nano_credits") }}::{{ wide_integer() }} as nano_credits,
        sum(session_days.usage_seconds)::bigint as usage_seconds
    from session_days
    group by session_days.usage_date, session_days.billing_period, session_days.{{ key | join(", session_days.") }}

),

todays_costs as (

    select
        usage_days.*,
        vendor_prices.price_per_credit as unit_price,
        vendor_prices.currency
    from usage_days
    inner join vendor_prices
        on
            usage_days.billing_period = vendor_prices.billing_period
            and usage_days.usage_date >= vendor_prices.from_date
            and usage_days.usage_date < vendor_prices.to_date

),

sides as (

    select
        todays_costs.usage_date,
        {%- for column in key %}
        todays_costs.{{ column }},
        {%- endfor %}
        todays_costs.unit_price,
        todays_costs.currency,
        todays_costs.nano_credits,
        todays_costs.usage_seconds
    from todays_costs
    inner join frozen_periods on todays_costs.billing_period = frozen_periods.billing_period
    union all
    select
        closed_costs.usage_date,
        {%- for column in key %}
        closed_costs.{{ column }},
        {%- endfor %}
        closed_costs.unit_price,
        closed_costs.currency,
        -closed_costs.nano_credits as nano_credits,
        -closed_costs.usage_seconds as usage_seconds
    from closed_costs

),

differences as (

    -- A changed price takes all back at the old one and charges all at the new one.
    select
        sides.usage_date,
        {%- for column in key %}
        sides.{{ column }},
        {%- endfor %}
        sides.unit_price,
        sides.currency,
        sum(sides.nano_credits)::{{ wide_integer() }} as nano_credits,
        sum(sides.usage_seconds)::bigint as usage_seconds
    from sides
    group by sides.usage_date, sides.{{ key | join(", sides.") }}, sides.unit_price, sides.currency
    having sum(sides.nano_credits) <> 0 or sum(sides.usage_seconds) <> 0

)

{% for cte, period, is_correction in [
    ("todays_costs", "todays_costs.billing_period", "false"),
    ("closed_costs", "closed_costs.billing_period", "closed_costs.usage_period <> closed_costs.billing_period"),
    ("differences", "periods.billing_period", "true"),
] -%}
select
    {{ period }} as billing_period,
    {{ cte }}.usage_date,
    {%- for column in key %}
    {{ cte }}.{{ column }},
    {%- endfor %}
    {{ is_correction }} as is_correction,
    {{ cte }}.nano_credits,
    {{ nano_to_credits(cte ~ ".nano_credits") }} as credits,
    {{ cte }}.usage_seconds,
    {{ cte }}.unit_price,
    {{ cte }}.currency
from {{ cte }}
{% if cte == "todays_costs" -%}
{{ anti_join() }} frozen_periods on todays_costs.billing_period = frozen_periods.billing_period
{% elif cte == "differences" -%}
cross join periods
{% endif -%}
{{ "union all" if not loop.last }}
{% endfor %}
