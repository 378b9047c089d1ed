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
    select 1 as raw_layer_is_there
{% endmacro %}

{#- The ledger is created once and never dropped, not even by a full refresh: it is no model, so that no rebuild can
    touch it. -#}
{% macro create_ledger() %}
    create schema if not exists ledger;
    create table if not exists ledger.closed_periods (
        billing_period varchar not null,
        closed_at_utc timestamp not null
    );
    -- dbt rolls back the transaction in which it ran a run's first hooks: what is to stay is committed here.
    commit;
    begin transaction;
{% endmacro %}
