{#-
    What is wrong with a seed, in words: the parts that every list of errors shares. A list of errors is a model with one
    row a error, and stop_on_errors behind it.
-#}

{#- What a cell of a seed holds by its kind, or null where it cannot be read. -#}
{% macro seed_cell(kind, text) -%}
    {%- if kind == "day" -%}{{ seed_day(text) }}
    {%- elif kind == "count" -%}{{ seed_count(text) }}
    {%- else -%}{{ seed_amount(text) }}
    {%- endif -%}
{%- endmacro %}

{#-
    The cells of seeds that cannot be read, as SQL of (external_user_id, plan_id, message). files: a list of
    (CTE with the seed's rows as text, file name, keys, columns), with keys from "external_user_id" and "plan_id", and
    columns as (name, kind, may be empty). The kinds are day, amount and count (whole). words: what may stand in a cell of
    an amount or a count besides.
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
        '{{ file }}: '
        {%- for key in keys %}
        || {{ label("user" if key == "external_user_id" else "plan", rows ~ "." ~ key) }} {{ "|| ', '" if not loop.last }}
        {%- endfor %}
        || coalesce(' from ' || {{ quoted_for_message(rows ~ ".valid_from") }}, '') || ': {{ column }} '
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
    The days on which a row begins while another one of the same key still holds, as SQL of a seed's columns and of
    earlier_valid_to: the end of the last one of those before it, 9999-12-31 where it is open. Rows that hold on no day, or
    begin on none that can be read, are left out: they overlap nothing.
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
