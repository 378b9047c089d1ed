{#-
    What dbt did to the warehouse, so that whoever reads the marts knows whether their figures are proven. `builds.starts` gets a row
    when a run begins, `builds.history` one when it ends. A start without an end is a run that was killed, and may have left tables half
    rebuilt. Nothing updates these tables, deletes from them or drops them. marts.rpt_builds shows them.
-#}

{#- Columns of the tables, in order. -#}
{% macro build_tables() %}
    {%- set begun = {
        "build_number": "bigint", "build_id": "varchar", "build_kind": "varchar", "command": "varchar", "started_at_utc": "timestamp",
        "code_version": "varchar", "newest_load_id": "bigint",
    } -%}
    {{ return({
        "starts": begun,
        "history": dict(begun, ended_at_utc="timestamp", node_count="bigint", failure_count="bigint", status="varchar"),
    }) }}
{% endmacro %}

{#- on-run-start, before anything reads the tables: creates them. -#}
{% macro create_builds() %}{{ return(adapter.dispatch("create_builds")()) }}{% endmacro %}

{% macro default__create_builds() %}
    {%- if execute -%}
        {%- call statement("create_builds", auto_begin=True) -%}
            create schema if not exists builds;
            {%- for table, columns in build_tables().items() %}
            create table if not exists builds.{{ table }} (
                {%- for column, type in columns.items() %}{{ column }} {{ type }}{{ ", " if not loop.last }}{% endfor -%}
            );
            {%- endfor %}
        {%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}

{#- Whether this run leaves out something that its command could do: by --select, --exclude, --empty, or as a retry. Unit tests do not
    look at the warehouse, and are not in graph.nodes. -#}
{% macro is_of_selection() %}
    {%- set types = {"run": ["model"], "seed": ["seed"], "snapshot": ["snapshot"], "test": ["test"]}.get(
        flags.WHICH, ["model", "seed", "snapshot", "test"]
    ) -%}
    {%- for node in graph.nodes.values() if node.resource_type in types and node.unique_id not in selected_resources -%}
        {{ return(true) }}
    {%- endfor -%}
    {{ return(flags.EMPTY or false) }}
{% endmacro %}

{#- What this run is: `build` and `close` are of the whole project; any other command has its own name; `…_selected` is a part of it. -#}
{% macro build_kind() %}
    {%- if is_of_selection() -%}
        {{ return(flags.WHICH ~ "_selected") }}
    {%- endif -%}
    {{ return("close" if flags.WHICH == "build" and period_to_close() is not none else flags.WHICH) }}
{% endmacro %}

{#- Whether this run is recorded. `compile` and `docs generate` build nothing, and run all hooks at once, in no order. -#}
{% macro is_recorded() %}{{ return(execute and keeps_history() and flags.WHICH not in ("compile", "generate")) }}{% endmacro %}

{#- on-run-start, last: records that the run begins. What fails before has changed no table of a model. -#}
{% macro record_start() %}
    {%- if is_recorded() -%}
        {%- call statement("record_start", auto_begin=True) -%}{{ insert_start(build_kind()) }}{%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}

{#- The command line. Only dbt's own program knows it: other programs that run dbt give an empty one. -#}
{% macro command_line() %}
    {%- set given = (invocation_args_dict.get("invocation_command") or "").strip() -%}
    {{ return(given if " " in given else "dbt " ~ flags.WHICH) }}
{% endmacro %}

{#- The statement that records a start. -#}
{% macro insert_start(kind) -%}
    insert into builds.starts ({{ build_tables()["starts"].keys() | join(", ") }})
    select
        (select coalesce(max(build_number), 0) + 1 from builds.starts),
        '{{ invocation_id }}',
        '{{ kind }}',
        {{ text_literal(command_line()) }},
        timestamp '{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}',
        {{ code_version() }},
        {{ newest_load() }}
{%- endmacro %}

{#- The newest load in raw, as SQL; null in a file that nothing was landed in. -#}
{% macro newest_load() %}
    {%- set loads = adapter.get_relation(database=target.database, schema="raw", identifier="loads") -%}
    {{ return("null" if loads is none else "(select max(load_id) from raw.loads)") }}
{% endmacro %}

{#- on-run-end, last: records how the run ended. A close that is refused records it itself (`refused`), because no later hook runs. -#}
{% macro record_end(results, status="success") %}
    {%- if is_recorded() -%}
        {%- call statement("record_end", auto_begin=True) -%}{{ insert_end(results, status) }}{%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}

{#- The statement that records an end: `failed`, or the given status. A warning is no failure, and a skipped node is not done. -#}
{% macro insert_end(results, status="success") -%}
    {%- set nodes, failed, undone = [], [], [] -%}
    {%- for result in results if result.node.resource_type != "operation" -%}
        {%- do nodes.append(result.node.name) -%}
        {%- if result.status | string not in ("success", "pass", "no-op", "warn") -%}
            {%- do undone.append(result.node.name) -%}
            {%- do failed.append(result.node.name) if result.status | string != "skipped" -%}
        {%- endif -%}
    {%- endfor -%}
    insert into builds.history ({{ build_tables()["history"].keys() | join(", ") }})
    select
        {{ build_tables()["starts"].keys() | join(", ") }},
        timestamp '{{ modules.datetime.datetime.now(modules.pytz.utc).strftime("%Y-%m-%d %H:%M:%S.%f") }}',
        {{ nodes | length }},
        {{ failed | length }},
        '{{ "failed" if undone else status }}'
    from builds.starts
    where build_id = '{{ invocation_id }}'
{%- endmacro %}
