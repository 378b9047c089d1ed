-- Rule 4: the rows of a session in each table come from its newest version. No row of an older version is left, and no part is
-- missing or duplicated. The other tests of sessions rely on this one, so they can read changed sessions only.
-- A partial build reads all rows with the digest of a changed session, whatever load they came with. Any other build compares, by
-- load, the number of parts with the number that the sessions should have, weighted by session. Looking up the version of each
-- part would take as long as building the parts.
-- depends_on: {{ ref("int_changed_sessions") }}
{%- set staged = ref("stg_miosa__usage_sessions") %}
{%- set usable = "not is_void and rejection_reason is null" %}
{%- set last_day_sql = last_day_of_span("started_at_utc", "end_at_utc") %}
{#- The number of rows that a session should have in each table, computed from its interval. -#}
{%- set day_count = days_between("started_at_utc::date", last_day_sql) ~ " + 1" %}
{%- set period_count %}
    (extract(year from {{ last_day_sql }}) - extract(year from started_at_utc)) * 12
    + extract(month from {{ last_day_sql }}) - extract(month from started_at_utc) + 1
{%- endset %}
{%- set tables = [
    ("int_sessions", staged, usable, "1"),
    ("int_independent_session_periods", ref("int_sessions"), "true", period_count),
    ("int_session_periods", ref("int_sessions"), "true", period_count),
    ("int_session_days", ref("int_sessions"), "true", day_count),
] %}

{% if tests_changed_only() %}
{% for name in ["stg_miosa__usage_sessions", "int_sessions", "int_independent_session_periods", "int_session_periods", "int_session_days"] %}
select
    '{{ name }}' as table_name,
    parts.row_hash,
    parts.load_id
from (from {{ ref(name) }} where row_hash in (select row_hash from {{ ref("int_changed_sessions") }})) as parts
{{ anti_join() }} {{ ref("int_changed_sessions") }} as newest
    on
        parts.row_hash = newest.row_hash
        and parts.load_id = newest.load_id
{{ "union all" if not loop.last }}
{% endfor %}
{% else %}
{%- set weight = "(abs(row_hash % 1048573) + 1)" %}
with

{% for name, whole, condition, row_count in tables %}
parts_{{ loop.index }} as (

    select
        load_id,
        count(*) as part_count,
        {{ wide_sum(weight) }} as weights
    from {{ ref(name) }}
    group by load_id

),

wholes_{{ loop.index }} as (

    select
        load_id,
        {{ wide_sum(row_count) }} as part_count,
        {{ wide_sum(weight ~ " * (" ~ row_count ~ ")") }} as weights
    from {{ whole }}
    where {{ condition }}
    group by load_id

){{ "," if not loop.last }}

{% endfor %}
{% for name, whole, condition, row_count in tables %}
select
    '{{ name }}' as table_name,
    load_id,
    wholes_{{ loop.index }}.part_count as expected_count,
    parts_{{ loop.index }}.part_count
from wholes_{{ loop.index }}
full outer join parts_{{ loop.index }} using (load_id)
where
    wholes_{{ loop.index }}.part_count is distinct from parts_{{ loop.index }}.part_count
    or wholes_{{ loop.index }}.weights is distinct from parts_{{ loop.index }}.weights
{{ "union all" if not loop.last }}
{% endfor %}
{% endif %}
