-- Purpose: every error in plan_quotas.csv and user_quota_overrides.csv, in words, for the person who edits them.
-- Grain: one row per error (error_number).
-- A row stops the build before desired limits are computed. So on each day a plan has at most one row of limits, and a user
-- at most one row of overrides.
{{ config(
    post_hook={"sql": "{{ stop_on_errors('no quotas can be set') }}", "transaction": false}
) }}

with

plan_quota_rows as (

    select * from {{ ref("plan_quotas") }}

),

plan_quotas as (

    select * from {{ ref("stg_billing__plan_quotas") }}

),

override_rows as (

    select * from {{ ref("user_quota_overrides") }}

),

overrides as (

    select * from {{ ref("stg_billing__user_quota_overrides") }}

),

plans as (

    select * from {{ ref("stg_billing__plans") }}

),

{% set limits = [
    ("max_sandboxes", "count", true), ("max_concurrent", "count", true), ("max_storage_gb", "amount", true),
    ("max_credit_cents", "amount", true),
] -%}
unreadable as (

    {{ unreadable_cells([
        ("plan_quota_rows", "plan_quotas.csv", ["plan_id"], [
            ("valid_from", "day", false), ("valid_to", "day", true),
        ] + limits),
    ]) }}
    union all
    {{ unreadable_cells([
        ("override_rows", "user_quota_overrides.csv", ["external_user_id"], [
            ("valid_from", "day", false), ("valid_to", "day", true),
        ] + limits),
    ], words=["uncapped"]) }}

),

unknown as (

    select
        null::string as external_user_id,
        plan_quotas.plan_id,
        'plan_quotas.csv: ' || {{ label("plan", "plan_quotas.plan_id") }} || ' is not in plans.csv' as message
    from plan_quotas
    left join plans on plan_quotas.plan_id = plans.plan_id
    where plans.plan_id is null
    group by plan_quotas.plan_id
    union all
    select
        overrides.external_user_id,
        null::string as plan_id,
        'user_quota_overrides.csv: ' || {{ label("user", "overrides.external_user_id") }}
        || coalesce(' from ' || overrides.valid_from::string, '') || case
            when overrides.external_user_id is null then ', which is nobody'
            else ', which stands for nobody and has no quota'
        end as message
    from overrides
    where
        overrides.external_user_id is null
        or overrides.external_user_id = '{{ unattributed() }}'

),

backwards as (

    {% for rows, file, key, kind in [
        ("plan_quotas", "plan_quotas.csv", "plan_id", "plan"),
        ("overrides", "user_quota_overrides.csv", "external_user_id", "user"),
    ] %}
    select
        {{ rows ~ ".external_user_id" if kind == "user" else "null::string" }} as external_user_id,
        {{ rows ~ ".plan_id" if kind == "plan" else "null::string" }} as plan_id,
        {{ rows }}.valid_from as day,
        '{{ file }}: ' || {{ label(kind, rows ~ "." ~ key) }} || ' from ' || {{ rows }}.valid_from::string || ': valid_to '
        || {{ rows }}.valid_to::string || ' is not after it' as message
    from {{ rows }}
    where {{ rows }}.valid_to <= {{ rows }}.valid_from
    {{ "union all" if not loop.last }}
    {% endfor %}

),

plan_overlaps as (

    {{ overlapping_ranges("plan_quotas", "plan_id") }}

),

override_overlaps as (

    {{ overlapping_ranges("overrides", "external_user_id") }}

),

overlapping as (

    select
        null::string as external_user_id,
        plan_overlaps.plan_id,
        plan_overlaps.valid_from as day,
        'plan_quotas.csv: ' || {{ label("plan", "plan_overlaps.plan_id") }} || ' has two rows on '
        || plan_overlaps.valid_from::string as message
    from plan_overlaps
    union all
    select
        override_overlaps.external_user_id,
        null::string as plan_id,
        override_overlaps.valid_from as day,
        'user_quota_overrides.csv: ' || {{ label("user", "override_overlaps.external_user_id") }} || ' has two rows on '
        || override_overlaps.valid_from::string as message
    from override_overlaps

),

errors as (

    {% for kind in ["unreadable", "unknown", "backwards", "overlapping"] %}
    select
        '{{ "overlap" if kind == "overlapping" else kind }}' as error,
        {{ kind }}.external_user_id,
        {{ kind }}.plan_id,
        {{ kind ~ ".day" if kind in ("backwards", "overlapping") else "null::date" }} as day,
        {{ kind }}.message
    from {{ kind }}
    {{ "union all" if not loop.last }}
    {% endfor %}

)

select
    -- Unreadable cells come first, because an unreadable end causes overlaps that do not exist.
    row_number() over (order by errors.error <> 'unreadable', errors.error <> 'overlap', errors.message) as error_number,
    errors.error,
    errors.external_user_id,
    errors.plan_id,
    errors.day,
    errors.message
from errors
