{#- Stops a run before anything is built if the engine's settings would change figures, or if the engine cannot do what was requested. -#}
{% macro require_settings() %}{{ return(adapter.dispatch("require_settings")()) }}{% endmacro %}

{% macro default__require_settings() %}{% endmacro %}

{#- Makes raw readable, or stops the run with a message instead of a failing query. -#}
{% macro require_raw_layer() %}{{ return(adapter.dispatch("require_raw_layer")()) }}{% endmacro %}

{% macro default__require_raw_layer() %}
    {%- if execute and flags.WHICH in ("build", "run", "test", "snapshot", "compile", "show") -%}
        {%- set loads = adapter.get_relation(database=target.database, schema="raw", identifier="loads") -%}
        {%- if loads is none -%}
            {{ exceptions.raise_compiler_error(
                "nothing has been extracted into this warehouse yet (no table raw.loads): run `python -m extract` first, "
                ~ "with the same WAREHOUSE_PATH, or `make demo` to see an example"
            ) }}
        {%- endif -%}
        {#- Made by the extractor too. A warehouse that an earlier version of it filled has no such table. -#}
        {%- call statement("create_quota_reads", auto_begin=True) -%}
            create table if not exists raw.quota_reads (load_id bigint not null, row_key varchar not null);
        {%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}
