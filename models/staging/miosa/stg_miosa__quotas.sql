-- Purpose: each of the vendor's answers about a user's quota, typed. Answers come in two shapes: limits nested or flat.
-- Grain: one row per version of the answer about a user (external_user_id, load_id, row_number).

with

versions as (

    select * from {{ source("miosa", "quotas") }}

),

answers as (

    select
        versions.load_id,
        versions.row_number,
        versions.row_key as external_user_id,
        versions.http_status,
        versions.payload,
        -- The body of a 404 is not read, because it may not be JSON.
        case
            when versions.http_status <> 404 then coalesce(versions.payload_normalized, versions.payload)
        end as body,
        row_number() over (
            partition by versions.row_hash, versions.row_key order by versions.load_id desc, versions.row_number desc
        ) = 1 as is_current
    from versions

),

bodies as (

    select
        answers.*,
        {{ json_fields("answers.body", documents=["data"]) }} as fields
    from answers

),

quotas as (

    select
        bodies.*,
        coalesce(bodies.fields.data::string, bodies.body) as quota,
        {{ json_fields("coalesce(bodies.fields.data::string, bodies.body)", documents=["limits", "usage"]) }} as parts
    from bodies

),

limits as (

    select
        quotas.*,
        {{ json_fields(
            "coalesce(quotas.parts.limits::string, quotas.quota)",
            texts=["max_sandboxes", "max_concurrent", "max_storage_gb", "max_credit_cents"],
        ) }} as limits,
        {{ json_fields("quotas.parts.usage::string", texts=["total_sandboxes", "sandboxes", "concurrent"]) }} as counters
    from quotas

),

typed as (

    select
        limits.load_id,
        limits.row_number,
        limits.external_user_id,
        limits.is_current,
        limits.http_status,
        limits.payload,
        limits.quota,
        limits.parts.limits::string as limits_text,
        limits.limits.max_sandboxes as max_sandboxes_text,
        limits.limits.max_concurrent as max_concurrent_text,
        limits.limits.max_storage_gb as max_storage_gb_text,
        limits.limits.max_credit_cents as max_credit_cents_text,
        {{ scaled_integer("limits.limits.max_sandboxes", 9, 20) }} as max_sandboxes_nano,
        {{ scaled_integer("limits.limits.max_concurrent", 9, 20) }} as max_concurrent_nano,
        {{ scaled_integer("limits.limits.max_storage_gb", 9, 20) }} as max_storage_gb_nano,
        {{ scaled_integer("limits.limits.max_credit_cents", 9, 20) }} as max_credit_cents_nano,
        {{ scaled_integer("coalesce(limits.counters.total_sandboxes, limits.counters.sandboxes)", 0, 18) }} as sandbox_count,
        {{ scaled_integer("limits.counters.concurrent", 0, 18) }} as running_session_count
    from limits

)

select
    typed.load_id,
    typed.row_number,
    typed.external_user_id,
    typed.is_current,
    typed.http_status <> 404 as has_quota,
    {{ nano_to_credits("typed.max_sandboxes_nano") }} as sandboxes_limit,
    {{ nano_to_credits("typed.max_concurrent_nano") }} as concurrent_limit,
    {{ nano_to_credits("typed.max_storage_gb_nano") }} as storage_gb_limit,
    {{ nano_to_credits("typed.max_credit_cents_nano") }} as credits_limit,
    -- The vendor's own counters are only shown beside ours. So a counter that cannot be read is null; it does not reject the row.
    case when typed.sandbox_count >= 0 then typed.sandbox_count::bigint end as sandbox_count,
    case when typed.running_session_count >= 0 then typed.running_session_count::bigint end as running_session_count,
    case
        when typed.external_user_id = '{{ unattributed() }}' then 'reserved_user_id'
        when typed.http_status = 404 then null
        when
            typed.quota is null
            or left(typed.quota, 1) <> '{'
            or left(typed.limits_text, 1) <> '{'
            or not {{ json_has_any_key(
                "typed.quota", ["limits", "max_sandboxes", "max_concurrent", "max_storage_gb", "max_credit_cents"]
            ) }}
            then 'unreadable_quota'
        when
            {%- for name in ["max_sandboxes", "max_concurrent", "max_storage_gb", "max_credit_cents"] %}
            (typed.{{ name }}_text is not null and coalesce(typed.{{ name }}_nano, -1) < 0)
            {%- if not loop.last %} or{% endif %}
            {%- endfor %}
            then 'bad_limit'
    end as rejection_reason,
    case when rejection_reason is not null then typed.payload end as rejected_payload
from typed
