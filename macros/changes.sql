{#-
    Incremental builds. A month's build does the work of a month: it builds again the rows whose inputs changed, and no others.

    Which rows these are is in models: stg_miosa__changed_sessions, and those in models/intermediate/changes/. Each of them
    runs before the tables that it decides about, so a build that is killed redoes too much, never too little. What an
    earlier build found stays in them until a whole build went well, tests included: `build_state.whole_builds` has it.

    An incremental model shows in its own config which key it replaces (unique_key), by which strategy, and the model that
    lists the changed keys (meta.changes). It reads its inputs through only_changed().

    Every model is built in full on --full-refresh, when a period is closed (invoices stand on figures made from scratch),
    after an update of models or macros, and where a run selects a table without the models that find its changes.
-#}

{#- Whether this run may leave unchanged rows as they are. Hundreds of nodes ask; begin_build keeps the answer. -#}
{% macro is_partial_build() %}
    {%- if not execute -%}
        {{ return(false) }}
    {%- elif "is_partial_build" in graph -%}
        {{ return(graph["is_partial_build"]) }}
    {%- elif flags.FULL_REFRESH or period_to_close() is not none or not keeps_history() -%}
        {{ return(false) }}
    {%- elif adapter.get_relation(database=target.database, schema="build_state", identifier="whole_builds") is none -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(first_row("select 1 from build_state.whole_builds") is not none) }}
{% endmacro %}

{#- dbt calls this for each incremental model and seed, of other packages too. -#}
{% macro should_full_refresh() %}
    {%- if model.package_name != project_name or model.resource_type != "model" -%}
        {{ return(dbt.should_full_refresh()) }}
    {%- endif -%}
    {{ return(not is_partial_build()) }}
{% endmacro %}

{#- A digest of all models and macros, and of the variables that incremental models read. -#}
{% macro code_fingerprint() %}
    {%- set texts = [var("max_duration_digits") | string, var("earliest_session_date") | string] -%}
    {%- for node in project_models() | sort(attribute="unique_id") -%}
        {%- do texts.append(node.raw_code) -%}
    {%- endfor -%}
    {%- for name in context[project_name] | sort -%}
        {%- do texts.append(context[project_name][name].macro.macro_sql) -%}
    {%- endfor -%}
    {{ return(local_md5(texts | join("\n"))) }}
{% endmacro %}

{#- The models of this project, as nodes of the graph. -#}
{% macro project_models() %}
    {{ return(
        graph.nodes.values() | selectattr("resource_type", "equalto", "model")
        | selectattr("package_name", "equalto", project_name) | list
    ) }}
{% endmacro %}

{#- Whether the run makes a table anew without the models that find its changes: those that an incremental model
    reads, or the one that compares a snapshot (meta.compared_by). They compare with what earlier builds left, so once the
    table is newer than they are, its changes are lost. -#}
{% macro selects_without_changes() %}
    {%- set found = [] -%}
    {%- for node in project_models() if node.unique_id in selected_resources and (node.config.materialized == "incremental" or node.config.meta.get("compared_by")) -%}
        {%- for other in project_models() if "changes" in other.tags and other.unique_id not in selected_resources -%}
            {%- if other.name == node.config.meta.get("compared_by") or (
                node.config.materialized == "incremental" and other.unique_id in node.depends_on.nodes
            ) -%}
                {%- do found.append(node.name) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found | length > 0) }}
{% endmacro %}

{#- on-run-start: decides whether the build is partial. A build in full is no basis for the next one until it is complete. -#}
{% macro begin_build() %}
    {%- if execute and keeps_history() -%}
        {%- call statement("begin_build", auto_begin=True) -%}
            create schema if not exists build_state;
            create table if not exists build_state.whole_builds (invocation_id varchar, code_fingerprint varchar);
            {#- Where an earlier version kept what it had to do. -#}
            drop schema if exists touched cascade;
            {%- if flags.WHICH in ("build", "run", "retry") %}
            delete from build_state.whole_builds
            where
                code_fingerprint <> '{{ code_fingerprint() }}'
                {{ "or true" if flags.FULL_REFRESH or period_to_close() is not none or selects_without_changes() }};
            {%- endif %}
        {%- endcall -%}
        {%- do adapter.commit() -%}
        {%- do graph.update({"is_partial_build": is_partial_build()}) -%}
    {%- endif -%}
{% endmacro %}

{#- on-run-end: after a whole build that went well, tests included, no change is left to do. -#}
{% macro end_build(results) %}
    {%- if execute and keeps_history() and flags.WHICH == "build" and incomplete_build_reason(results) is none -%}
        {%- call statement("end_build", auto_begin=True) -%}
            delete from build_state.whole_builds;
            insert into build_state.whole_builds values ('{{ invocation_id }}', '{{ code_fingerprint() }}');
        {%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}

{#- The condition under which a row of a model of changes has not been dealt with: no whole build stands behind it. -#}
{% macro is_unfinished() -%}
    invocation_id not in (select whole_builds.invocation_id from {{ source("build_state", "whole_builds") }} as whole_builds)
{%- endmacro %}

{#- Behind a relation: leaves its rows with changed keys. All of its rows in a build in full. -#}
{% macro only_changed(changes, keys) -%}
    {%- if model.resource_type == "model" and is_incremental() -%}
        {{ semi_join_changes(changes, keys) }}
    {%- endif -%}
{%- endmacro %}

{#- The same around a relation, for large ones that a model reads several times: a CTE would hold their rows in memory. -#}
{% macro changed_rows(relation, changes, keys) -%}
    (select * from {{ relation }} {{ only_changed(changes, keys) }})
{%- endmacro %}

{% macro semi_join_changes(changes, keys) -%}
    semi join (select {{ changed_keys(keys) }} from {{ changes }}) using ({{ keys | join(", ") }})
{%- endmacro %}

{#- The keys as columns of a model of changes. There, a service period is a billing period like any other. -#}
{% macro changed_keys(keys) -%}
    {%- for key in keys -%}
        {{ "billing_period as service_period" if key == "service_period" else key }}{{ ", " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#- The incremental strategy of this project; Spark, which builds in full, knows no others than its own. -#}
{% macro replace_changed() %}{{ return(adapter.dispatch("replace_changed")()) }}{% endmacro %}
{% macro default__replace_changed() %}{{ return("replace_changed") }}{% endmacro %}

{#-
    dbt looks this strategy up by its name. It deletes the rows of changed keys, then inserts those that the model made
    anew. dbt's own delete+insert would leave the rows of a key that has none any more.
-#}
{% macro get_incremental_replace_changed_sql(arg_dict) %}
    {%- set keys, columns = arg_dict["unique_key"], get_quoted_csv(arg_dict["dest_columns"] | map(attribute="name")) %}
    delete from {{ arg_dict["target_relation"] }}
    where ({{ keys | join(", ") }}) in (
        select ({{ keys | map("replace", "service_period", "billing_period") | join(", ") }})
        from {{ model_relation(model.config.meta.changes) }}
    );
    insert into {{ arg_dict["target_relation"] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict["temp_relation"] }}
{% endmacro %}

{#- The table of a model, by its name. -#}
{% macro model_relation(name) %}
    {%- for node in project_models() if node.name == name -%}
        {{ return(node.relation_name) }}
    {%- endfor -%}
{% endmacro %}

{#- Whether data tests read changed rows only: in a partial build. `dbt test` reads everything. -#}
{% macro tests_changed_only() %}
    {{ return(execute and flags.WHICH == "build" and is_partial_build()) }}
{% endmacro %}

{#-
    What a data test reads of a relation: all of it, or in a partial build its changed rows. Keys and changes are those of
    the model's own config unless the test names others: meta.changes, and meta.changed_keys or unique_key; changed_through
    names the model through which a changed period leads to these keys; `unstaged` are rows of raw that staging lacks. asks_statistics: the test looks for nulls or bounds, which
    DuckDB answers from the statistics of its blocks faster than from changed rows, except where the model joins.
-#}
{% macro changed_part(relation, keys=none, changes=none, asks_statistics=false) -%}
    {%- set of = namespace(keys=keys, changes=changes, through=none) -%}
    {%- if tests_changed_only() -%}
        {%- for nodes in (graph.nodes, graph.sources) if keys is none -%}
            {%- for node in nodes.values() if node.relation_name == relation | string and node.package_name == project_name -%}
                {%- set meta = node.config.get("meta", {}) -%}
                {%- if meta.get("changes") and (not asks_statistics or meta.get("joins")) -%}
                    {%- set of.changes, of.through = meta.changes, meta.get("changed_through") -%}
                    {%- set of.keys = meta.get("changed_keys", node.config.get("unique_key")) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- if of.changes == "unstaged" -%}
            {{ return(
                "(from " ~ relation ~ " where load_id > (select coalesce(max(load_id), 0) from "
                ~ model_relation("stg_miosa__usage_sessions") ~ "))"
            ) }}
        {%- elif of.keys is not none -%}
            {%- set changes = model_relation(of.changes) -%}
            {%- if of.through is not none -%}
                {%- set changes = "(from " ~ model_relation(of.through) ~ " "
                    ~ semi_join_changes(changes, ["external_user_id", "billing_period"]) ~ ")" -%}
            {%- endif -%}
            {{ return("(from " ~ relation ~ " " ~ semi_join_changes(changes, of.keys) ~ ")") }}
        {%- endif -%}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}

{#- dbt calls this for what a generic test reads, of other packages too. -#}
{% macro get_where_subquery(relation) -%}
    {%- if model.package_name != project_name -%}
        {{ return(dbt.get_where_subquery(relation)) }}
    {%- endif -%}
    {%- set where = config.get("where", "") -%}
    {%- set part = changed_part(relation, asks_statistics=model.test_metadata.name in ("never_null", "at_least")) -%}
    {{ return("(select * from " ~ part ~ " where " ~ where ~ ") as dbt_subquery" if where else part) }}
{%- endmacro %}

{#- What a model of changed user periods is in a build in full: empty. -#}
{% macro no_changed_user_periods() -%}
    select
        null::string as external_user_id,
        null::string as billing_period,
        null::string as cause,
        null::string as invocation_id
    from (select 1 as one) as nothing
    where nothing.one = 0
{%- endmacro %}
