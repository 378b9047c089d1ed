{#- None of the columns is ever null. One test per table, because a test of many columns takes as long as a test of one. -#}
{% test never_null(model, columns) %}
select {{ columns | join(", ") }}
from {{ model }}
where {{ columns | join(" is null or ") }} is null
{% endtest %}
