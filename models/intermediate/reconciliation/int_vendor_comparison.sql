-- Purpose: our credits beside the vendor's, by user and in total, for each way in which the vendor may count a session that
--          crosses the end of a period (rule 33). Complete periods only (rule 34).
-- Grain: one row per billing period and user (billing_period, external_user_id). external_user_id is null for the period's
--        total, which is compared with the vendor's summary.
{{ config(materialized="view") }}

with

periods as (

    select * from {{ ref("int_usage_periods") }}
    where is_complete

),

user_periods as (

    select * from {{ ref("int_user_periods") }}

),

rollups as (

    select * from {{ ref("stg_miosa__usage_rollups") }}
    where rejection_reason is null

),

summaries as (

    select * from {{ ref("stg_miosa__usage_summaries") }}
    where rejection_reason is null

),

rejected as (

    select * from {{ ref("int_rejected_credits") }}

),

dimensions as (

    -- The shape of the report without line items, or without their prices, has nothing to compare.
    select * from {{ ref("int_usage_dimensions") }}
    where
        source = 'line_items'
        and vendor_credits is not null

),

ours as (

    select
        user_periods.external_user_id,
        user_periods.billing_period,
        {{ nano_to_credits("user_periods.nano_credits") }} as split_credits,
        {{ nano_to_credits("user_periods.started_nano_credits") }} as start_credits,
        {{ nano_to_credits("user_periods.ended_nano_credits") }} as end_credits,
        user_periods.rounded_session_count
    from user_periods
    inner join periods on user_periods.billing_period = periods.billing_period

),

theirs as (

    select
        rollups.external_user_id,
        rollups.billing_period,
        sum(rollups.credits) as credits
    from rollups
    inner join periods on rollups.billing_period = periods.billing_period
    group by rollups.external_user_id, rollups.billing_period

),

line_items as (

    select
        dimensions.external_user_id,
        dimensions.billing_period,
        sum(dimensions.vendor_credits) as credits
    from dimensions
    group by dimensions.external_user_id, dimensions.billing_period

),

priced_periods as (

    select distinct line_items.billing_period from line_items

),

by_user as (

    select
        coalesce(ours.billing_period, theirs.billing_period) as billing_period,
        coalesce(ours.external_user_id, theirs.external_user_id) as external_user_id,
        coalesce(theirs.credits, 0)::decimal(38, 9) as vendor_credits,
        coalesce(ours.split_credits, 0)::decimal(38, 9) as split_credits,
        coalesce(ours.start_credits, 0)::decimal(38, 9) as start_credits,
        coalesce(ours.end_credits, 0)::decimal(38, 9) as end_credits,
        coalesce(ours.rounded_session_count, 0) as rounded_session_count,
        -- In a period with line items, a user without any has lost all of them.
        case
            when priced_periods.billing_period is not null then coalesce(line_items.credits, 0)
        end::decimal(38, 9) as line_item_credits,
        {%- for way in ["split", "start", "end"] %}
        {{ nano_to_credits("coalesce(rejected." ~ way ~ "_nano_credits, 0)") }}
        as rejected_{{ way }}_credits{{ "," if not loop.last }}
        {%- endfor %}
    from ours
    full outer join theirs
        on
            ours.billing_period = theirs.billing_period
            and ours.external_user_id = theirs.external_user_id
    left join priced_periods on coalesce(ours.billing_period, theirs.billing_period) = priced_periods.billing_period
    left join line_items
        on
            theirs.billing_period = line_items.billing_period
            and theirs.external_user_id = line_items.external_user_id
    left join rejected
        on
            coalesce(ours.billing_period, theirs.billing_period) = rejected.billing_period
            and coalesce(ours.external_user_id, theirs.external_user_id) = rejected.external_user_id
    -- If the rollup has no line for usage without a user, that usage is not compared by user, only in the total.
    where
        theirs.external_user_id is not null
        or ours.external_user_id <> '{{ unattributed() }}'

),

rejected_totals as (

    select
        rejected.billing_period,
        {%- for way in ["split", "start", "end"] %}
        sum(rejected.{{ way }}_nano_credits)::{{ wide_integer() }} as {{ way }}_nano_credits{{ "," if not loop.last }}
        {%- endfor %}
    from rejected
    group by rejected.billing_period

),

totals as (

    select
        periods.billing_period,
        any_value(summaries.credits)::decimal(38, 9) as vendor_credits,
        coalesce(sum(ours.split_credits), 0)::decimal(38, 9) as split_credits,
        coalesce(sum(ours.start_credits), 0)::decimal(38, 9) as start_credits,
        coalesce(sum(ours.end_credits), 0)::decimal(38, 9) as end_credits,
        coalesce(sum(ours.rounded_session_count), 0)::bigint as rounded_session_count,
        {%- for way in ["split", "start", "end"] %}
        {{ nano_to_credits("coalesce(any_value(rejected_totals." ~ way ~ "_nano_credits), 0)") }}
        as rejected_{{ way }}_credits{{ "," if not loop.last }}
        {%- endfor %}
    from periods
    left join summaries on periods.billing_period = summaries.billing_period
    left join rejected_totals on periods.billing_period = rejected_totals.billing_period
    left join ours on periods.billing_period = ours.billing_period
    -- A month in between that was neither requested nor used has no figures to compare.
    where
        summaries.billing_period is not null
        or ours.billing_period is not null
    group by periods.billing_period

)

select
    by_user.billing_period,
    by_user.external_user_id,
    by_user.vendor_credits,
    by_user.split_credits,
    by_user.start_credits,
    by_user.end_credits,
    by_user.rejected_split_credits,
    by_user.rejected_start_credits,
    by_user.rejected_end_credits,
    by_user.rounded_session_count,
    by_user.line_item_credits
from by_user
union all
select
    totals.billing_period,
    null::string as external_user_id,
    totals.vendor_credits,
    totals.split_credits,
    totals.start_credits,
    totals.end_credits,
    totals.rejected_split_credits,
    totals.rejected_start_credits,
    totals.rejected_end_credits,
    totals.rounded_session_count,
    null::decimal(38, 9) as line_item_credits
from totals
