-- Rule 4: what stands of a session in each table was made of its newest version; nothing of an older one was left behind.
-- In a month's build this reads all that has the hash of a session that was touched, whatever load it came with. The other tests of
-- sessions rely on it, and read what the newest loads brought.
{%- set tables = ["int_sessions", "int_raw_session_periods", "int_session_periods", "int_session_days"] %}
{%- if tests_touched_only() -%}
    {%- do tables.append("stg_miosa__usage_sessions") -%}
{%- endif -%}
{%- set newest = "touched.sessions" if tests_touched_only() else ref("stg_miosa__usage_sessions") %}

{% for name in tables %}
{%- set rows = ref(name) %}
select
    '{{ name }}' as table_name,
    parts.row_hash,
    parts.load_id
from {{ "(from " ~ rows ~ " where row_hash in (select row_hash from touched.sessions))" if tests_touched_only() else rows }} as parts
{{ anti_join() }} {{ newest }} as newest
    on
        parts.row_hash = newest.row_hash
        and parts.load_id = newest.load_id
{{ "union all" if not loop.last }}
{% endfor %}
