{#- The condition is true on every row; null counts as false. period: a model that is joined by billing_period, so that the
    condition can use its columns as `period`. Comparing its times is faster than computing them from the period's name. -#}
{% test holds(model, condition, period=none) %}
{%- if period is none %}
select *
from {{ model }}
where not coalesce({{ condition }}, false)
{%- else %}
select tested.*
from {{ model }} as tested
left join {{ period }} as period on tested.billing_period = period.billing_period
where not coalesce({{ condition }}, false)
{%- endif %}
{% endtest %}
