-- Purpose: why each session's day in a closed period changed since its close, and which load brought the change.
-- Grain: one row per user, service period, currency, session and UTC day that differs
--        (external_user_id, service_period, currency, session_id, usage_date).
-- Rebuilt whole: a session that left a user's period may change once more, and the period is not redone for it.
{%- set columns = [
    "external_user_id", "service_period", "currency", "session_id", "usage_date", "sandbox_id", "external_project_id", "workspace_id",
    "usage_seconds", "nano_credits",
] %}

with

adjustment_usage as (

    select * from {{ ref("int_adjustment_usage") }}

),

changed_sessions as (

    select distinct adjustment_usage.session_id from adjustment_usage

),

adjustment_terms as (

    select * from {{ ref("int_adjustment_terms") }}

),

newest_close as (

    -- Whatever was known then, later closes included, is in the ledger.
    select
        closed_periods.newest_load_id,
        closed_periods.closed_at_utc
    from {{ ref("stg_ledger__closed_periods") }} as closed_periods
    qualify row_number() over (order by closed_periods.billing_period desc) = 1

),

loads as (

    -- A restored ledger may know other numbers than raw, so the time decides as well.
    select
        loads.load_id,
        loads.started_at_utc,
        coalesce(
            loads.load_id <= newest_close.newest_load_id and loads.started_at_utc <= newest_close.closed_at_utc, false
        ) as is_before_close
    from {{ ref("stg_miosa__loads") }} as loads
    left join newest_close on true

),

versions as (

    select
        session_loads.session_id,
        bool_or(loads.is_before_close) as is_known_at_close
    from {{ ref("stg_miosa__session_loads") }} as session_loads
    {{ semi_join() }} changed_sessions on session_loads.session_id = changed_sessions.session_id
    inner join loads on session_loads.load_id = loads.load_id
    where session_loads.has_session_id
    group by session_loads.session_id

),

current_versions as (

    select
        usage_sessions.session_id,
        usage_sessions.load_id,
        usage_sessions.is_void
    from {{ ref("stg_miosa__usage_sessions") }} as usage_sessions
    {{ semi_join() }} changed_sessions on usage_sessions.session_id = changed_sessions.session_id

),

sessions as (

    select
        int_sessions.session_id,
        int_sessions.external_user_id,
        int_sessions.sandbox_id,
        int_sessions.started_at_utc,
        int_sessions.is_owned_by_sandbox
    from {{ ref("int_sessions") }} as int_sessions
    {{ semi_join() }} changed_sessions on int_sessions.session_id = changed_sessions.session_id

),

owners as (

    select * from {{ ref("int_sandbox_owners") }}

),

today as (

    -- The newest load on which the session rests today: of its row, or of its sandbox's owner.
    select
        current_versions.session_id,
        current_versions.load_id as version_load_id,
        greatest(current_versions.load_id, coalesce(owners.load_id, current_versions.load_id)) as load_id,
        current_versions.is_void,
        sessions.external_user_id,
        coalesce(sessions.is_owned_by_sandbox, false) as is_owned_by_sandbox
    from current_versions
    left join sessions on current_versions.session_id = sessions.session_id
    left join owners
        on
            sessions.is_owned_by_sandbox
            and sessions.sandbox_id = owners.sandbox_id
            and sessions.started_at_utc >= owners.valid_from_utc
            and (owners.valid_to_utc is null or sessions.started_at_utc < owners.valid_to_utc)

),

differences as (

    select
        adjustment_usage.*,
        -- Over all currencies.
        sum(adjustment_usage.nano_credits) over (
            partition by
                adjustment_usage.external_user_id, adjustment_usage.session_id, adjustment_usage.usage_date
        ) as day_nano_credits,
        max(adjustment_usage.billed_nano_credits) over (
            partition by adjustment_usage.external_user_id, adjustment_usage.session_id
        ) > 0 as is_billed,
        min(adjustment_usage.external_user_id) over (partition by adjustment_usage.session_id)
        <> max(adjustment_usage.external_user_id) over (partition by adjustment_usage.session_id) as has_two_users
    from adjustment_usage

),

reasons as (

    select
        {%- for column in columns %}
        differences.{{ column }},
        {%- endfor %}
        today.load_id,
        case
            -- The same credits in another currency.
            when differences.day_nano_credits = 0 then adjustment_terms.terms_reason
            when coalesce(today.is_void, true) then 'voided'
            -- Its newest row was rejected.
            when today.external_user_id is null then 'corrected'
            when today.external_user_id <> differences.external_user_id or differences.has_two_users then 'moved'
            when differences.is_billed then 'corrected'
            when not coalesce(versions.is_known_at_close, false) then 'late'
            -- Nobody's until its sandbox had an owner.
            when today.is_owned_by_sandbox and version_loads.is_before_close then 'moved'
            else 'corrected'
        end as change_reason
    from differences
    left join adjustment_terms
        on
            differences.external_user_id = adjustment_terms.external_user_id
            and differences.service_period = adjustment_terms.service_period
            and differences.currency = adjustment_terms.currency
    left join today on differences.session_id = today.session_id
    left join versions on differences.session_id = versions.session_id
    left join loads as version_loads on today.version_load_id = version_loads.load_id

)

select
    {%- for column in columns %}
    reasons.{{ column }},
    {%- endfor %}
    reasons.change_reason,
    loads.load_id as change_load_id,
    loads.started_at_utc as change_read_at_utc
from reasons
left join loads
    on
        reasons.load_id = loads.load_id
        and reasons.change_reason not in ('plan', 'price')
