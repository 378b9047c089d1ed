{#- Stops a run on a warehouse that nothing was extracted into, with a sentence instead of a failing query. -#}
{% macro require_raw_layer() %}
    {%- if execute and flags.WHICH in ("build", "run", "test", "snapshot", "compile", "show") -%}
        {%- set loads = adapter.get_relation(database=target.database, schema="raw", identifier="loads") -%}
        {%- if loads is none -%}
            {{ exceptions.raise_compiler_error(
                "nothing has been extracted into this warehouse yet (no table raw.loads): run `python -m extract` first, "
                ~ "with the same WAREHOUSE_PATH, or `make demo` to see an example"
            ) }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
