-- Purpose: why an invoice corrects an earlier month: what was billed, what was known at the adjustment, which session or price list made
--          the difference, and when that became known.
-- Grain: one row per adjustment line, session and UTC day that changed, and one without a session per line behind which are plans or
--        prices (line_id, session_id, usage_date).
{{ config(materialized="view") }}

with

adjustments as (

    select * from {{ ref("int_invoice_lines") }}
    where line_type = 'adjustment'

),

adjusted_lines as (

    -- All lines of the adjusted months: what was billed by the time of each adjustment.
    select
        lines.line_id,
        lines.line_type,
        sum(lines.amount) over (
            partition by lines.external_user_id, lines.service_period, lines.currency
            order by lines.invoice_period
            range between unbounded preceding and current row
        )::decimal(38, 3) as known_amount
    from {{ ref("int_invoice_lines") }} as lines
    {{ semi_join() }} adjustments
        on
            lines.external_user_id = adjustments.external_user_id
            and lines.service_period = adjustments.service_period
            and lines.currency = adjustments.currency

),

line_usage as (

    select * from {{ ref("int_invoice_line_usage") }}

),

adjusted_usage as (

    select
        line_usage.*,
        sum(line_usage.nano_credits) over (
            partition by
                line_usage.external_user_id, line_usage.service_period, line_usage.currency, line_usage.session_id,
                line_usage.usage_date
            order by line_usage.invoice_period
            range between unbounded preceding and current row
        ) as known_nano_credits
    from line_usage
    {{ semi_join() }} (
        select usage_of_adjustments.session_id from {{ ref("int_invoice_line_usage") }} as usage_of_adjustments
        where usage_of_adjustments.invoice_period <> usage_of_adjustments.service_period
    ) as changed_sessions on line_usage.session_id = changed_sessions.session_id

),

changes as (

    select
        adjusted_usage.line_id,
        adjusted_usage.session_id,
        adjusted_usage.usage_date,
        adjusted_usage.change_reason,
        adjusted_usage.known_nano_credits - adjusted_usage.nano_credits as billed_nano_credits,
        adjusted_usage.known_nano_credits,
        adjusted_usage.nano_credits,
        adjusted_usage.change_load_id,
        adjusted_usage.change_read_at_utc
    from adjusted_usage
    union all
    select
        adjustments.line_id,
        null::string as session_id,
        null::date as usage_date,
        case when ', ' || adjustments.adjustment_reasons || ',' like '%, plan,%' then 'plan' else 'price' end as change_reason,
        null::{{ wide_integer() }} as billed_nano_credits,
        null::{{ wide_integer() }} as known_nano_credits,
        0 as nano_credits,
        null::bigint as change_load_id,
        null::timestamp as change_read_at_utc
    from adjustments
    where
        ', ' || adjustments.adjustment_reasons || ',' like '%, plan,%'
        or ', ' || adjustments.adjustment_reasons || ',' like '%, price,%'

)

select
    changes.line_id,
    changes.session_id,
    changes.usage_date,
    adjustments.invoice_id,
    adjustments.external_user_id,
    adjustments.invoice_period,
    {{ period_start_date("adjustments.invoice_period") }} as invoice_period_start_date,
    adjustments.service_period,
    {{ period_start_date("adjustments.service_period") }} as service_period_start_date,
    adjustments.currency,
    adjustments.status,
    changes.change_reason,
    {{ nano_to_credits("changes.billed_nano_credits") }} as billed_credits,
    {{ nano_to_credits("changes.known_nano_credits") }} as known_credits,
    {{ nano_to_credits("changes.nano_credits") }} as credits,
    changes.change_load_id,
    changes.change_read_at_utc,
    case when changes.session_id is null then adjustments.price_changes end as price_changes,
    (adjusted_lines.known_amount - adjustments.amount)::decimal(38, 3) as line_billed_amount,
    adjusted_lines.known_amount as line_known_amount,
    adjustments.amount as line_amount
from changes
inner join adjustments on changes.line_id = adjustments.line_id
inner join adjusted_lines on adjustments.line_id = adjusted_lines.line_id
