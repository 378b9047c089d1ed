{#-
    Shared parts of the models that list errors in seeds. Such a model has one row per error. int_pricing_errors and
    int_quota_errors stop the build (stop_on_errors).
-#}

{#- The value of a cell of a seed by its kind, or null if it cannot be read. -#}
{% macro seed_cell(kind, text) -%}
    {%- if kind == "day" -%}{{ seed_day(text) }}
    {%- elif kind == "count" -%}{{ seed_count(text) }}
    {%- else -%}{{ seed_amount(text) }}
    {%- endif -%}
{%- endmacro %}

{#-
    The unreadable cells of seeds, as SQL of (external_user_id, plan_id, message). files: a list of (CTE with the seed's rows
    as text, file name, keys, columns). keys: from "external_user_id" and "plan_id". columns: (name, kind, may be empty), where
    kind is day, amount or count. words: words that are also allowed in a cell of an amount or a count.
-#}
{% macro unreadable_cells(files, words=[]) -%}
    {%- set expectations = {
        "day": "a day like 2026-10-31",
        "amount": "an amount: a plain number, not negative, with at most 9 decimals and under 10^9",
        "count": "a count: a whole number, not negative and under 10^9",
    } -%}
    {%- for rows, file, keys, columns in files %}
    {%- set file_loop = loop %}
    {%- for column, kind, may_be_empty in columns %}
    {%- set cell = rows ~ "." ~ column %}
    select
        {{ rows ~ ".external_user_id" if "external_user_id" in keys else "null::string" }} as external_user_id,
        {{ rows ~ ".plan_id" if "plan_id" in keys else "null::string" }} as plan_id,
        '{{ file }}{{ ": " if keys }}'
        {%- for key in keys %}
        || {{ label("user" if key == "external_user_id" else "plan", rows ~ "." ~ key) }} {{ "|| ', '" if not loop.last }}
        {%- endfor %}
        || coalesce('{{ " from " if keys else ": from " }}' || {{ quoted_for_message(rows ~ ".valid_from") }}, '') || ': {{ column }} '
        || coalesce({{ quoted_for_message(cell) }}, '(empty)') || ' is not {{ expectations[kind] }}
        {%- if kind != "day" %}{% for word in words %}, or the word {{ word }}{% endfor %}{% endif %}' as message
    from {{ rows }}
    where
        {{ seed_cell(kind, cell) }} is null
        {%- if may_be_empty %}
        and {{ cell }} is not null
        {%- endif %}
        {%- if kind != "day" %}{% for word in words %}
        and {{ cell }} is distinct from '{{ word }}'
        {%- endfor %}{% endif %}
    {{ "union all" if not (loop.last and file_loop.last) }}
    {%- endfor %}
    {%- endfor %}
{%- endmacro %}

{#-
    The rows that begin while an earlier row of the same key is still valid, as SQL of the seed's columns and earlier_valid_to:
    the latest end of the earlier rows, 9999-12-31 if it is open. Rows that are valid on no day, or whose first day cannot be
    read, overlap nothing and are left out.
-#}
{% macro overlapping_ranges(rows, key) -%}
    select
        *,
        max(coalesce(valid_to, date '9999-12-31')) over (
            partition by {{ key }}
            order by valid_from, valid_to
            rows between unbounded preceding and 1 preceding
        ) as earlier_valid_to
    from {{ rows }}
    where
        {{ key }} is not null
        and valid_from is not null
        and (valid_to is null or valid_from < valid_to)
    qualify valid_from < earlier_valid_to
{%- endmacro %}
