-- Purpose: each of the vendor's answers about a user's quota, typed.
-- Grain: one row per version of the answer about a user (external_user_id, load_id, row_number).
-- The quota is the answer itself, or stands under `data`, then under `quota` or `quotas`; it may be the only item of a list. Its
-- limits are nested (`limits`) or flat. Any other shape is rejected, because it must not pass for a quota without limits: a list of
-- several quotas, or of another user's, and limits with none of the four names.
{%- set limit_names = ["max_sandboxes", "max_concurrent", "max_storage_gb", "max_credit_cents"] %}

with

versions as (

    select * from {{ source("miosa", "quotas") }}

),

reads as (

    select * from {{ source("miosa", "quota_reads") }}

),

-- An answer that came again unchanged is the one that was current then: of a user's answers, the last one that came before.
numbered_readings as (

    select
        readings.row_key,
        readings.load_id,
        count(readings.row_number) over (
            partition by readings.row_key
            order by readings.load_id, readings.row_number nulls last
            rows between unbounded preceding and current row
        ) as answer_number
    from (
        select
            versions.row_key,
            versions.load_id,
            versions.row_number
        from versions
        union all
        select
            reads.row_key,
            reads.load_id,
            null::bigint as row_number
        from reads
    ) as readings

),

last_readings as (

    select
        numbered_readings.row_key,
        numbered_readings.answer_number,
        max(numbered_readings.load_id) as last_read_load_id
    from numbered_readings
    group by numbered_readings.row_key, numbered_readings.answer_number

),

answers as (

    select
        versions.load_id,
        versions.row_number,
        versions.row_key as external_user_id,
        versions.http_status,
        versions.payload,
        -- The body of a 404 is not read, because it may not be JSON. Between the parts of a document any blank will do as a space, and
        -- within a string JSON allows none of these.
        case
            when versions.http_status <> 404
                then ltrim(
                    translate(coalesce(versions.payload_normalized, versions.payload), chr(9) || chr(10) || chr(13), '   ')
                )
        end as body,
        row_number() over (
            partition by versions.row_hash, versions.row_key order by versions.load_id desc, versions.row_number desc
        ) = 1 as is_current,
        row_number() over (partition by versions.row_key order by versions.load_id, versions.row_number) as answer_number
    from versions

),

outer_documents as (

    select
        answers.*,
        coalesce(({{ json_fields("answers.body", documents=["data"]) }}).data::string, answers.body) as outer_document
    from answers

),

outer_objects as (

    select
        outer_documents.*,
        {{ json_only_item("outer_documents.outer_document") }} as outer_object
    from outer_documents

),

inner_fields as (

    select
        outer_objects.*,
        {{ json_fields("outer_objects.outer_object", documents=["quota", "quotas"]) }} as fields
    from outer_objects

),

inner_documents as (

    select
        inner_fields.*,
        coalesce(inner_fields.fields.quota::string, inner_fields.fields.quotas::string, inner_fields.outer_object) as inner_document
    from inner_fields

),

quota_objects as (

    select
        inner_documents.*,
        {{ json_only_item("inner_documents.inner_document") }} as quota,
        left(inner_documents.outer_document, 1) = '[' or left(inner_documents.inner_document, 1) = '[' as is_from_list
    from inner_documents

),

quotas as (

    select
        quota_objects.*,
        {{ json_fields(
            "quota_objects.quota",
            texts=["current_sandboxes"], values=["external_user_id"], documents=["limits", "usage"],
        ) }} as parts
    from quota_objects

),

limits as (

    select
        quotas.*,
        {{ json_fields(
            "coalesce(quotas.parts.limits::string, quotas.quota)",
            texts=limit_names,
        ) }} as limits,
        {{ json_fields(
            "quotas.parts.usage::string", texts=["total_sandboxes", "sandboxes", "current_sandboxes", "concurrent"]
        ) }} as counters
    from quotas

),

typed as (

    select
        limits.load_id,
        limits.row_number,
        limits.external_user_id,
        limits.is_current,
        limits.answer_number,
        limits.http_status,
        limits.payload,
        limits.quota,
        limits.parts.limits::string as limits_text,
        limits.is_from_list and coalesce({{ json_id("limits.parts.external_user_id") }} <> limits.external_user_id, false)
            as is_of_another_user,
        {%- for name in limit_names %}
        limits.limits.{{ name }} as {{ name }}_text,
        {{ scaled_integer("limits.limits." ~ name, 9, 20) }} as {{ name }}_nano,
        {%- endfor %}
        {{ scaled_integer("coalesce(limits.counters.total_sandboxes, limits.counters.sandboxes)", 0, 18) }} as sandbox_count,
        {{ scaled_integer("coalesce(limits.parts.current_sandboxes, limits.counters.current_sandboxes)", 0, 18) }}
            as owned_sandbox_count,
        {{ scaled_integer("limits.counters.concurrent", 0, 18) }} as running_session_count
    from limits

)

select
    typed.load_id,
    typed.row_number,
    typed.external_user_id,
    typed.is_current,
    last_readings.last_read_load_id,
    typed.http_status <> 404 as has_quota,
    {{ nano_to_credits("typed.max_sandboxes_nano") }} as sandboxes_limit,
    {{ nano_to_credits("typed.max_concurrent_nano") }} as concurrent_limit,
    {{ nano_to_credits("typed.max_storage_gb_nano") }} as storage_gb_limit,
    {{ nano_to_credits("typed.max_credit_cents_nano") }} as credits_limit,
    -- The vendor's own counters are only shown beside ours. So a counter that cannot be read is null, and does not reject the row.
    case when typed.sandbox_count >= 0 then typed.sandbox_count::bigint end as sandbox_count,
    case when typed.owned_sandbox_count >= 0 then typed.owned_sandbox_count::bigint end as owned_sandbox_count,
    case when typed.running_session_count >= 0 then typed.running_session_count::bigint end as running_session_count,
    case
        when typed.external_user_id = '{{ unattributed() }}' then 'reserved_user_id'
        when typed.http_status = 404 then null
        when
            typed.quota is null
            or left(typed.quota, 1) <> '{'
            or left(typed.limits_text, 1) <> '{'
            or typed.is_of_another_user
            -- Limits that are null or an empty object are all left out, so nothing is capped. Other names may mean anything.
            or not (
                {{ json_has_any_key("coalesce(typed.limits_text, typed.quota)", limit_names) }}
                or (
                    {{ json_has_any_key("typed.quota", ["limits"]) }}
                    and coalesce(replace(typed.limits_text, ' ', ''), '{}') = '{}'
                    and not {{ json_has_any_key("typed.quota", limit_names) }}
                )
            )
            then 'unreadable_quota'
        when
            {%- for name in limit_names %}
            (typed.{{ name }}_text is not null and coalesce(typed.{{ name }}_nano, -1) < 0)
            {%- if not loop.last %} or{% endif %}
            {%- endfor %}
            then 'bad_limit'
    end as rejection_reason,
    case when rejection_reason is not null then typed.payload end as rejected_payload
from typed
left join last_readings
    on
        typed.external_user_id = last_readings.row_key
        and typed.answer_number = last_readings.answer_number
