{#-
    Incremental builds. A monthly build does the work of one month: it rebuilds only the rows whose inputs changed.

    The changed rows are listed by models: stg_miosa__changed_sessions, and those in models/intermediate/changes/. Each of them
    runs before the tables whose rows it lists, so that a build after an interrupted one does too much, never too little. Their
    rows stay until a build of the whole project succeeds, tests included; `build_state.whole_builds` records it.

    An incremental model names in its own config the key whose rows it replaces (unique_key), the strategy, and the model that
    lists the changed keys (meta.changes). It reads its inputs through only_changed().

    A full build rebuilds every model. It happens on --full-refresh, when a period is closed (so that invoices rest on figures
    computed from scratch), after a change of models or macros, and if a run selects a table without the models that list its
    changes.
-#}

{#- Whether this run may leave unchanged rows as they are. Hundreds of nodes call this, so begin_build caches the answer. -#}
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

{#- Overrides dbt's macro for incremental models of this project. dbt also calls it for seeds, and for nodes of other packages. -#}
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

{#- Whether the run rebuilds a table without the models that list its changes: those that an incremental model reads, or the
    one that compares a snapshot (meta.compared_by). These models compare with what earlier builds left, so changes would be
    lost once the table is newer than they are. -#}
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

{#- on-run-start: decides whether the build is partial. An interrupted full build does not allow the next one to be partial. -#}
{% macro begin_build() %}
    {%- if execute and keeps_history() -%}
        {%- call statement("begin_build", auto_begin=True) -%}
            create schema if not exists build_state;
            create table if not exists build_state.whole_builds (invocation_id varchar, code_fingerprint varchar);
            {#- Earlier versions kept their changed rows in this schema. -#}
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

{#- on-run-end: records a successful build of the whole project, tests included, after which no change is left to do. -#}
{% macro end_build(results) %}
    {%- if execute and keeps_history() and flags.WHICH == "build" and incomplete_build_reason(results) is none -%}
        {%- call statement("end_build", auto_begin=True) -%}
            delete from build_state.whole_builds;
            {#- While no load began after the closed periods, as after a restored ledger, adjustments have no invoice to be on. The
                next build may have to show all of them, so it is a full build. -#}
            insert into build_state.whole_builds
            select '{{ invocation_id }}', '{{ code_fingerprint() }}'
            where
                not exists (select 1 from ledger.closed_periods)
                or exists (select 1 from {{ model_relation("int_billing_periods") }} where is_first_open);
        {%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}

{#- The condition on rows of a model of changes that are still to be done: no whole build has succeeded since they were written. -#}
{% macro is_unfinished() -%}
    invocation_id not in (select whole_builds.invocation_id from {{ source("build_state", "whole_builds") }} as whole_builds)
{%- endmacro %}

{#- After a relation in FROM: keeps only its rows with changed keys. In a full build it keeps all rows. -#}
{% macro only_changed(changes, keys) -%}
    {%- if model.resource_type == "model" and is_incremental() -%}
        {{ semi_join_changes(changes, keys) }}
    {%- endif -%}
{%- endmacro %}

{#- The same as a subquery, for large relations that a model reads several times: a CTE would hold their rows in memory. -#}
{% macro changed_rows(relation, changes, keys) -%}
    (select * from {{ relation }} {{ only_changed(changes, keys) }})
{%- endmacro %}

{#- A condition for an incremental model whose partial builds need not read more of an input. A full build reads all of it. -#}
{% macro only_in_partial_build(condition) -%}
    {%- if model.resource_type == "model" and is_incremental() -%}where {{ condition }}{%- endif -%}
{%- endmacro %}

{% macro semi_join_changes(changes, keys) -%}
    semi join (select {{ changed_keys(keys) }} from {{ changes }}) using ({{ keys | join(", ") }})
{%- endmacro %}

{#- The keys as columns of a model of changes, which calls a service period billing_period. -#}
{% macro changed_keys(keys) -%}
    {%- for key in keys -%}
        {{ "billing_period as service_period" if key == "service_period" else key }}{{ ", " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{#- The name of this project's incremental strategy. Spark, which always builds in full, accepts only its own strategies. -#}
{% macro replace_changed() %}{{ return(adapter.dispatch("replace_changed")()) }}{% endmacro %}
{% macro default__replace_changed() %}{{ return("replace_changed") }}{% endmacro %}

{#-
    dbt finds this strategy by its name. It deletes the rows of changed keys, then inserts the rebuilt rows. dbt's own
    delete+insert would leave the old rows of a key that has no rows any more.
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
    The rows of a relation that a data test reads: all rows, or in a partial build the changed ones. Unless the test names keys
    and changes, they come from the model's config: meta.changes, and meta.changed_keys or unique_key. meta.changed_through names
    a model that maps changed periods to these keys. With changes `unstaged`, the rows of raw that staging lacks are read; with
    `open_periods`, those of periods that are not closed, by the column in meta.changed_keys, for which meta.changed_where holds.
    asks_statistics: the test looks for nulls or bounds. DuckDB answers that from block statistics faster than from changed rows,
    unless the model joins.
-#}
{% macro changed_part(relation, keys=none, changes=none, asks_statistics=false) -%}
    {%- set of = namespace(keys=keys, changes=changes, through=none, condition="true") -%}
    {%- if tests_changed_only() -%}
        {%- set name = relation | string -%}
        {%- for nodes in (graph.nodes, graph.sources) if keys is none -%}
            {%- for node in nodes.values() if node.relation_name == name and node.package_name == project_name -%}
                {%- set meta = node.config.get("meta", {}) -%}
                {%- if meta.get("changes") and (not asks_statistics or meta.get("joins")) -%}
                    {%- set of.changes, of.through = meta.changes, meta.get("changed_through") -%}
                    {%- set of.keys = meta.get("changed_keys", node.config.get("unique_key")) -%}
                    {%- set of.condition = meta.get("changed_where", "true") -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- if of.changes == "open_periods" -%}
            {%- set first_open = first_row("select billing_period from " ~ model_relation("int_billing_periods") ~ " where is_first_open") -%}
            {{ return(
                "(from " ~ relation ~ " where " ~ of.condition
                ~ (" and " ~ of.keys[0] ~ " >= '" ~ first_open[0] ~ "'" if first_open is not none else "") ~ ")"
            ) }}
        {%- elif of.changes == "unstaged" -%}
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

{#- Overrides dbt's macro for the relation that a generic test of this project reads. dbt also calls it for other packages. -#}
{% macro get_where_subquery(relation) -%}
    {%- if model.package_name != project_name -%}
        {{ return(dbt.get_where_subquery(relation)) }}
    {%- endif -%}
    {%- set where = config.get("where", "") -%}
    {%- set part = changed_part(relation, asks_statistics=model.test_metadata.name in ("never_null", "at_least")) -%}
    {{ return("(select * from " ~ part ~ " where " ~ where ~ ") as dbt_subquery" if where else part) }}
{%- endmacro %}

{#- The SQL of a model of changed user periods in a full build: no rows. -#}
{% macro no_changed_user_periods() -%}
    select
        null::string as external_user_id,
        null::string as billing_period,
        null::string as cause,
        null::string as invocation_id
    from (select 1 as one) as nothing
    where nothing.one = 0
{%- endmacro %}

{#- The CTE `different` of the models that compare with a snapshot: the rows that only one of two relations has. Counting is
    cheaper than EXCEPT ALL, which numbers the rows of both sides. today: a relation, or a query in parentheses. -#}
{% macro rows_that_differ(today, before, columns) -%}
different as (

    select {{ columns | join(", ") }}
    from (
        select
            {{ columns | join(", ") }},
            1 as row_count
        from {{ today }} as today
        union all
        select
            {{ columns | join(", ") }},
            -1 as row_count
        from {{ before }} as before
    ) as compared
    group by {{ columns | join(", ") }}
    having sum(row_count) <> 0

)
{%- endmacro %}

{#- The rows of a model of changed user periods: those of the model before it, those found now, and unfinished ones of its own
    (is_unfinished). found: the CTE with the users' periods that this model adds. -#}
{% macro with_changed_user_periods(changed_before, found, cause, unfinished) -%}
select
    external_user_id,
    billing_period,
    cause,
    '{{ invocation_id }}' as invocation_id
from {{ changed_before }}
union
select
    {{ found }}.external_user_id,
    {{ found }}.billing_period,
    '{{ cause }}' as cause,
    '{{ invocation_id }}' as invocation_id
from {{ found }}
union
select
    earlier.external_user_id,
    earlier.billing_period,
    earlier.cause,
    '{{ invocation_id }}' as invocation_id
from {{ this }} as earlier
where earlier.{{ unfinished }}
{%- endmacro %}
