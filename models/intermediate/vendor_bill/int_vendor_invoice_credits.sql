-- Purpose: our credits in the period of each of the vendor's invoices, cut at exactly its instants (rule 13), by user and UTC day.
-- Grain: one row per invoice, user and UTC day with usage in the invoice's period (invoice_id, external_user_id, usage_date).
-- Whole days are those of int_user_days. Only on the day of a cut are sessions split, by the same macro; parts of any grain are
-- differences of one running figure, so that invoices that follow each other share a session exactly.
{{ config(materialized="view") }}

with

invoices as (

    select * from {{ ref("stg_miosa__billing_invoices") }}
    where
        rejection_reason is null
        and period_start_at_utc < period_end_at_utc

),

user_days as (

    select * from {{ ref("int_user_days") }}

),

bounds as (

    select
        min(user_days.usage_date) as first_date,
        max(user_days.usage_date) as last_date
    from user_days

),

clipped as (

    -- An invoice may claim any period. Days without usage need no row.
    select
        invoices.invoice_id,
        invoices.period_start_at_utc,
        invoices.period_end_at_utc,
        greatest(invoices.period_start_at_utc::date, bounds.first_date) as from_date,
        least({{ last_day_of_span("invoices.period_start_at_utc", "invoices.period_end_at_utc") }}, bounds.last_date) as to_date
    from invoices
    cross join bounds

),

days as (

    select
        clipped.invoice_id,
        clipped.period_start_at_utc,
        clipped.period_end_at_utc,
        {{ each_day("clipped.from_date", "clipped.to_date") }} as usage_date
    from clipped
    where clipped.from_date <= clipped.to_date

),

cuts as (

    select
        days.invoice_id,
        days.usage_date,
        greatest(days.usage_date::timestamp, days.period_start_at_utc) as from_at_utc,
        least((days.usage_date + 1)::timestamp, days.period_end_at_utc) as to_at_utc,
        days.usage_date::timestamp >= days.period_start_at_utc
        and (days.usage_date + 1)::timestamp <= days.period_end_at_utc as is_whole
    from days

),

session_days as (

    select * from {{ ref("int_session_days") }}
    where usage_date in (
        select cuts.usage_date from cuts
        where not cuts.is_whole
    )

),

sessions as (

    select * from {{ ref("int_sessions") }}

),

parts as (

    select
        cuts.invoice_id,
        cuts.usage_date,
        sessions.external_user_id,
        sessions.started_at_utc,
        sessions.elapsed_microseconds,
        sessions.cost_nano_credits,
        sessions.usage_seconds,
        greatest(session_days.part_start_at_utc, cuts.from_at_utc) as part_start_at_utc,
        least(session_days.part_end_at_utc, cuts.to_at_utc) as part_end_at_utc
    from cuts
    inner join session_days on cuts.usage_date = session_days.usage_date
    inner join sessions on session_days.session_id = sessions.session_id
    where
        not cuts.is_whole
        and session_days.part_start_at_utc < cuts.to_at_utc
        -- A session of no length falls whole into the period of its start; another one that ends on a cut lies before it.
        and (session_days.part_end_at_utc > cuts.from_at_utc or session_days.part_start_at_utc = cuts.from_at_utc)

),

split_parts as (

    select
        parts.invoice_id,
        parts.usage_date,
        parts.external_user_id,
        {{ split_figures("parts") }}
    from parts

)

select
    cuts.invoice_id,
    cuts.usage_date,
    user_days.external_user_id,
    user_days.nano_credits::{{ wide_integer() }} as nano_credits
from cuts
inner join user_days on cuts.usage_date = user_days.usage_date
where cuts.is_whole
union all
select
    split_parts.invoice_id,
    split_parts.usage_date,
    split_parts.external_user_id,
    {{ wide_sum("split_parts.nano_credits") }}::{{ wide_integer() }} as nano_credits
from split_parts
group by split_parts.invoice_id, split_parts.usage_date, split_parts.external_user_id
