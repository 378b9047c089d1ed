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

{#- The ledger is created once and never dropped, not even by a full refresh: it is no model, so that no rebuild can
    touch it. Committed here, because dbt rolls back what a run's first hooks left open. -#}
{% macro create_ledger() %}
    {%- if execute -%}
        {%- call statement("create_ledger", auto_begin=True) -%}
            create schema if not exists ledger;
            create table if not exists ledger.closed_periods (
                billing_period varchar not null,
                closed_at_utc timestamp not null
            );
        {%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}
