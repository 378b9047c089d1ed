{#- The columns together are a key: no combination twice. Nulls are equal to each other here. after: a model that says in
    words what would break the key; the test waits for it, so that a build stops with its words. -#}
{% test unique_combination(model, columns, after=none) %}
select
    {{ columns | join(", ") }},
    count(*) as row_count
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1
{% endtest %}
