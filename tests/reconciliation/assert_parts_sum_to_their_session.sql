-- Rule 13: the parts of a session, by day and by period, sum exactly to its credits and seconds. They lie end to end from its
-- start to its end.
-- Compared by user. Each session has its own weight, so that figures cannot move between sessions unnoticed. Grouping by millions
-- of sessions would take as long as building the parts. `ends` checks that parts lie end to end. It sums the rise of a curve over
-- all parts, which equals the rise from the session's start to its end only if the parts leave no gap and do not overlap.
{%- set names = ["nano_credits", "weighted_nano_credits", "weighted_seconds", "ends"] %}
{%- set kinds = [
    ("sessions", "int_sessions", "cost_nano_credits", "started_at_utc", "end_at_utc"),
    ("days", "int_session_days", "nano_credits", "part_start_at_utc", "part_end_at_utc"),
    ("periods", "int_session_periods", "nano_credits", "part_start_at_utc", "part_end_at_utc"),
] %}

with

{% for kind, model_name, nano_credits, start, end in kinds %}
weighted_{{ kind }} as (

    select
        external_user_id,
        abs(row_hash % 1048573) + 1 as weight,
        {{ nano_credits }} as nano_credits,
        usage_seconds,
        {%- for moment in [end, start] %}
        {% set place %}({{ epoch_us(moment) }} % 1000003){% endset %}
        {{- place }} * {{ place }}{{ " -" if not loop.last }}
        {%- endfor %} as rise
    from {{ changed_part(ref(model_name), ["row_hash", "load_id"], "int_changed_sessions") }}

),

{{ kind }} as (

    select
        external_user_id,
        {{ wide_sum("nano_credits") }} as nano_credits,
        sum(nano_credits::{{ wide_integer() }} * weight) as weighted_nano_credits,
        {{ wide_sum("usage_seconds * weight") }} as weighted_seconds,
        {{ wide_sum("rise * weight") }} as ends
    from weighted_{{ kind }}
    group by external_user_id

){{ "," if not loop.last }}

{% endfor %}
{% for kind in ["days", "periods"] %}
select
    '{{ kind }}' as parts,
    coalesce(sessions.external_user_id, {{ kind }}.external_user_id) as external_user_id,
    sessions.nano_credits as expected_nano_credits,
    {{ kind }}.nano_credits
from sessions
full outer join {{ kind }} on sessions.external_user_id = {{ kind }}.external_user_id
where
    {%- for name in names %}
    {{ "or " if not loop.first }}sessions.{{ name }} is distinct from {{ kind }}.{{ name }}
    {%- endfor %}
{{ "union all" if not loop.last }}
{% endfor %}
