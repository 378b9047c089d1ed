-- Purpose: what each session cost in each billing period straight from raw, in one statement that shares none of the steps
--          of the models (versions, validity, ownership, intervals and the split are written a second time), so that
--          rpt_reconciliation has something to hold them against. Only the readers of numbers and times are shared.
-- Grain: one row per session that can be billed and billing period (session_id, billing_period).
{{ config(
    materialized="incremental",
    incremental_strategy=replace_changed(),
    unique_key=["row_hash"],
    meta={"changes": "int_changed_sessions", "changed_keys": ["row_hash", "load_id"]},
) }}
-- depends_on: {{ ref("int_user_periods_changed_by_usage") }}  (it reads this table as the last build left it)
{%- set versions = changed_rows(source("miosa", "usage_sessions"), ref("int_changed_sessions"), ["load_id", "row_number"]) ~ " as versions" %}

with

repeated as (

    select versions.row_hash
    from {{ versions }}
    group by versions.row_hash
    having count(*) > 1

),

candidates as (

    select
        versions.row_key,
        versions.has_id,
        versions.load_id,
        versions.row_number,
        versions.load_id::{{ wide_integer() }} * 1099511627776 + versions.row_number as place
    from {{ versions }}
    {{ semi_join() }} repeated on versions.row_hash = repeated.row_hash

),

newest as (

    -- Versions by the highest place a key has, not by ranking.
    select
        candidates.row_key,
        candidates.has_id,
        max(candidates.place) as place
    from candidates
    group by candidates.row_key, candidates.has_id

),

older as (

    select
        candidates.load_id,
        candidates.row_number
    from candidates
    inner join newest
        on
            candidates.row_key = newest.row_key
            and candidates.has_id = newest.has_id
            and candidates.place < newest.place

),

documents as (

    select
        versions.row_hash,
        versions.row_key,
        versions.load_id,
        coalesce(versions.payload_normalized, versions.payload) as document
    from {{ versions }}
    {{ anti_join() }} older
        on
            versions.load_id = older.load_id
            and versions.row_number = older.row_number
    where versions.has_id and not versions.is_void

),

parsed as (

    select
        documents.row_hash,
        documents.row_key,
        documents.load_id,
        {{ json_fields(
            "documents.document",
            texts=["started_at", "ended_at", "duration_sec", "credit_cost", "credits_used"],
            values=["external_user_id", "computer_id"]
        ) }} as fields
    from documents

),

figures as (

    select
        parsed.row_hash,
        parsed.row_key,
        parsed.load_id,
        {{ json_id("parsed.fields.external_user_id") }} as own_user,
        {{ json_id("parsed.fields.computer_id") }} as sandbox_id,
        parsed.fields.ended_at is null as is_running,
        loads.started_at_utc as asked_at_utc,
        {{ epoch_us(parse_utc("parsed.fields.started_at")) }} as start_us,
        {{ epoch_us(parse_utc("parsed.fields.ended_at")) }} as ended_us,
        {{ scaled_integer("parsed.fields.duration_sec", 0, var("max_duration_digits")) }}::bigint as seconds,
        -- Rounded by the tenth decimal (rule 1); null where the cost is out of range, negative or no number.
        {%- for cost, name in [("parsed.fields.credit_cost", "credit_cost_nano"), ("parsed.fields.credits_used", "credits_used_nano")] %}
        nullif(
            {{ fixed_digits(cost, 9, 9) }}::bigint
            + case when right({{ fixed_digits(cost, 9, 10) }}, 1) >= '5' then 1 else 0 end,
            1000000000000000000
        ) as {{ name }},
        {%- endfor %}
        {{ numbers_differ("parsed.fields.credit_cost", "parsed.fields.credits_used") }} as costs_differ,
        parsed.fields.duration_sec is not null as says_seconds,
        parsed.fields.credit_cost is not null as says_credit_cost,
        parsed.fields.credits_used is not null as says_credits_used,
        parsed.fields.ended_at is not null as says_end
    from parsed
    inner join {{ source("miosa", "loads") }} as loads on parsed.load_id = loads.load_id

),

named_owners as (

    select
        sandboxes.row_key as sandbox_id,
        sandboxes.load_id::{{ wide_integer() }} * 1099511627776 + sandboxes.row_number as place,
        {{ epoch_us("loads.started_at_utc") }} as seen_us,
        {{ json_id(
            "(" ~ json_fields("coalesce(sandboxes.payload_normalized, sandboxes.payload)", values=["external_user_id"])
            ~ ").external_user_id"
        ) }} as named_owner
    from {{ source("miosa", "sandboxes") }} as sandboxes
    inner join {{ source("miosa", "loads") }} as loads on sandboxes.load_id = loads.load_id
    where sandboxes.has_id

),

compared_owners as (

    select
        named_owners.*,
        lag(named_owners.named_owner) over (
            partition by named_owners.sandbox_id order by named_owners.place
        ) as owner_before
    from named_owners
    where named_owners.named_owner <> '{{ unattributed() }}'

),

owner_changes as (

    select * from compared_owners
    where owner_before is null or named_owner <> owner_before

),

owners as (

    -- An owner counts until the earliest clock of any later change, found by a join; the first one counts from the beginning.
    select
        own.sandbox_id,
        own.named_owner as owner,
        case when own.owner_before is null then {{ epoch_us("timestamp '0001-01-01 00:00:00'") }} else own.seen_us end as from_us,
        coalesce(min(later.seen_us), {{ epoch_us("timestamp '9999-12-31 23:59:59.999999'") }} + 1) as to_us
    from owner_changes as own
    left join owner_changes as later on own.sandbox_id = later.sandbox_id and own.place < later.place
    group by own.sandbox_id, own.named_owner, own.owner_before, own.seen_us, own.place

),

billable as (

    select
        figures.row_hash,
        figures.row_key,
        figures.load_id,
        coalesce(figures.own_user, owners.owner, '{{ unattributed() }}') as external_user_id,
        coalesce(figures.credit_cost_nano, figures.credits_used_nano, 0) as nano,
        -- Null, and so in no month, where the session can't be billed. No filter: it would be pushed below the reading of
        -- the texts, which would then be read twice.
        case
            when
                coalesce(figures.own_user <> '{{ unattributed() }}', true)
                and (not figures.says_end or figures.ended_us >= figures.start_us)
                and (not figures.says_seconds or figures.seconds >= 0)
                and (not figures.says_credit_cost or figures.credit_cost_nano >= 0)
                and (not figures.says_credits_used or figures.credits_used_nano >= 0)
                and (figures.is_running or figures.says_credit_cost or figures.says_credits_used)
                and not coalesce(figures.says_credit_cost and figures.says_credits_used and figures.costs_differ, false)
                -- Rule 37: 86,400,000,000 microseconds are a day.
                and figures.start_us >= {{ epoch_us(earliest_session_start()) }}
                and greatest(
                    figures.start_us,
                    coalesce(figures.ended_us, figures.start_us + figures.seconds * 1000000, figures.start_us)
                ) <= {{ epoch_us("figures.asked_at_utc") }} + 86400000000
                then figures.start_us
        end as start_us,
        coalesce(
            figures.ended_us,
            figures.start_us + figures.seconds * 1000000,
            greatest(figures.start_us, {{ epoch_us("figures.asked_at_utc") }})
        ) as end_us
    from figures
    left join owners
        on figures.sandbox_id = owners.sandbox_id and figures.start_us >= owners.from_us and figures.start_us < owners.to_us

),

months as (

    -- What has been spent by each month's end; the month's share is what it adds to the month before.
    select
        billable.*,
        {{ each_step(
            "date_trunc('month', " ~ from_epoch_us("billable.start_us") ~ ")",
            "date_trunc('month', " ~ from_epoch_us("greatest(billable.end_us - 1, billable.start_us)") ~ ")",
            "1 month",
        ) }} as month_start_at_utc
    from billable

),

spent as (

    select
        months.row_hash,
        months.row_key,
        months.load_id,
        months.external_user_id,
        {{ billing_period("months.month_start_at_utc") }} as billing_period,
        case
            -- All of it lies in the month.
            when
                months.start_us >= {{ epoch_us("months.month_start_at_utc") }}
                and months.end_us <= {{ epoch_us("months.month_start_at_utc + interval 1 month") }}
                then months.nano
            else
                {{ whole_quotient(
                    "months.nano::" ~ wide_integer() ~ " * least(months.end_us - months.start_us, "
                    ~ epoch_us("months.month_start_at_utc + interval 1 month") ~ " - months.start_us)",
                    "nullif(months.end_us - months.start_us, 0)::" ~ wide_integer(),
                ) }}
                - {{ whole_quotient(
                    "months.nano::" ~ wide_integer() ~ " * greatest(" ~ epoch_us("months.month_start_at_utc") ~ " - months.start_us, 0)",
                    "nullif(months.end_us - months.start_us, 0)::" ~ wide_integer(),
                ) }}
        end as nano
    from months

)

select
    spent.row_hash,
    spent.load_id,
    spent.row_key as session_id,
    spent.external_user_id,
    spent.billing_period,
    spent.nano::bigint as nano_credits
from spent
