{#- None of the columns is ever null. One test a table, whatever the number of columns: a test costs the same for one. -#}
{% test never_null(model, columns) %}
select {{ columns | join(", ") }}
from {{ model }}
where {{ columns | join(" is null or ") }} is null
{% endtest %}
