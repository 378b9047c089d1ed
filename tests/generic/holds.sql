{#- The condition holds on each row; a condition that is null does not hold. period: a model whose row of the same
    billing_period the condition may name as `period`: times are compared sooner than made of text. -#}
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
