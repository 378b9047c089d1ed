{#- No value of the column is below the bound. Nulls pass; never_null tests them. -#}
{% test at_least(model, column_name, bound) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} < {{ bound }}
{% endtest %}
