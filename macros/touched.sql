{#-
    What a build has to do. A table that grows with history is kept up to date by what changed, so that a month costs what
    the month holds. The schema `touched` says what changed:

    touched.sessions        places in raw of sessions that are new, or whose owner is, since the tables were made of them
    touched.user_periods    users' periods in which such a session has, or had, a part, or whose prices or limits moved
    touched.known_…         what else a table was made of, as it was then: see input_snapshots()
    touched.built_by        the code by which the whole warehouse was built; no row while that is not so

    They grow in the transactions that change tables, and are emptied when a whole build went well, tests included. So a
    build that was killed, that failed or that built a part leaves nothing undone: the next one does it again.

    A model that is kept so has the configuration of kept(): it says what its rows go by, and drops in a hook what it makes
    again. What it reads, it reads through touched_only().
    session         by row_hash and load_id, once what older loads said of it was dropped; so DuckDB passes over the blocks of older loads
    user_period     by external_user_id and billing_period (or another column of the period)
    line            by line_id: the view of line_usage, of which only tests read a part
    new             by load_id: raw, of which tests read what is not staged yet

    Everything is built in full on --full-refresh, when a period is closed (its invoices shall stand on figures made from
    scratch), and where the code of a model or a macro is another than the one it was built by. Such a run
    forgets first what the warehouse was built by, so that one that does not come to its end is followed by another in full.
-#}

{#- The configuration of a kept model. touch: the hook that finds what it has to make again, where that is not known by then;
    then: the hook behind it. -#}
{% macro kept(by, touch=none, then=none, period_column="billing_period") %}
    {{ return({
        "materialized": "incremental",
        "meta": {"kept_by": by, "period_column": period_column},
        "pre_hook": (["{{ " ~ touch ~ "() }}"] if touch else []) + ["{{ drop_touched() }}"],
        "post_hook": ["{{ " ~ then ~ "() }}"] if then else [],
    }) }}
{% endmacro %}

{#- Whether this run may only do what was touched. Hundreds of nodes ask; open_history keeps the answer where all see it. -#}
{% macro is_partial_build() %}
    {%- if "is_partial_build" in graph -%}
        {{ return(graph["is_partial_build"]) }}
    {%- endif -%}
    {%- if flags.FULL_REFRESH or period_to_close() is not none or not keeps_history() -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(first_row("select 1 from touched.built_by") is not none) }}
{% endmacro %}

{#- dbt asks this for each incremental model and seed. -#}
{% macro should_full_refresh() %}
    {%- if model.resource_type != "model" -%}
        {{ return(flags.FULL_REFRESH) }}
    {%- endif -%}
    {{ return(not is_partial_build()) }}
{% endmacro %}

{#- The table of a model, by its name. -#}
{% macro relation_of(name) %}
    {%- for node in graph.nodes.values() if node.resource_type == "model" and node.name == name -%}
        {{ return(node.relation_name) }}
    {%- endfor -%}
{% endmacro %}

{#- A digest of the models, of all macros, since any of them may stand behind a model, and of the variables that kept models read. -#}
{% macro history_fingerprint() %}
    {%- set texts = [var("max_duration_digits") | string, var("earliest_session_date") | string] -%}
    {%- for node in graph.nodes.values() | selectattr("resource_type", "equalto", "model") | sort(attribute="unique_id") -%}
        {%- do texts.append(node.raw_code) -%}
    {%- endfor -%}
    {%- for name in context[project_name] | sort -%}
        {%- do texts.append(context[project_name][name].macro.macro_sql) -%}
    {%- endfor -%}
    {{ return(local_md5(texts | join("\n"))) }}
{% endmacro %}

{#- What a kept model was made of besides sessions, as columns of the relation that it then read. -#}
{% macro input_snapshots() %}
    {{ return({
        "int_rating_period_credits": {
            "of": "int_price_segments", "where": "true",
            "columns": {
                "external_user_id": "varchar", "billing_period": "varchar", "from_date": "date", "to_date": "date",
                "plan_id": "varchar", "price_valid_from": "date",
            },
        },
        "int_rated_line_usage": {
            "of": "int_rated_lines", "where": "end_nano > start_nano",
            "columns": {
                "external_user_id": "varchar", "billing_period": "varchar", "line_id": "varchar", "start_nano": "hugeint",
                "end_nano": "hugeint",
            },
        },
        "int_reached_limits": {
            "of": "int_quota_usage", "where": "limit_value is not null and quota in ('credits', 'concurrent')",
            "columns": {
                "external_user_id": "varchar", "billing_period": "varchar", "quota": "varchar", "limit_value": "decimal(38, 9)",
            },
        },
    }) }}
{% endmacro %}

{#- on-run-start: makes what is missing, and forgets what the warehouse was built by when this run builds it anew. -#}
{% macro open_history() %}
    {%- if execute and keeps_history() -%}
        {%- call statement("open_history", auto_begin=True) -%}
            create schema if not exists touched;
            create table if not exists touched.sessions (row_hash bigint, load_id bigint, row_number bigint);
            create table if not exists touched.user_periods (external_user_id varchar, billing_period varchar);
            create table if not exists touched.built_by (fingerprint varchar);
            {%- for name, beside in input_snapshots().items() %}
            create table if not exists touched.known_{{ beside.of }} (
                {%- for column, type in beside.columns.items() %}{{ column }} {{ type }}{{ ", " if not loop.last }}{% endfor -%}
            );
            {%- endfor %}
            {%- if flags.WHICH in ("build", "run") %}
            delete from touched.built_by
            where fingerprint <> '{{ history_fingerprint() }}' {{ "or true" if flags.FULL_REFRESH or period_to_close() is not none }};
            {%- endif %}
        {%- endcall -%}
        {%- do adapter.commit() -%}
        {%- do graph.update({"is_partial_build": is_partial_build()}) -%}
    {%- endif -%}
{% endmacro %}

{#- on-run-end: after a whole build that went well, nothing is left to do. -#}
{% macro close_history(results) %}
    {%- if execute and keeps_history() and flags.WHICH == "build" and whole_build_errors(results) is none -%}
        {%- call statement("close_history", auto_begin=True) -%}
            delete from touched.sessions;
            delete from touched.user_periods;
            delete from touched.built_by;
            insert into touched.built_by values ('{{ history_fingerprint() }}');
        {%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}

{#- SQL behind a relation that leaves of it what was touched; nothing in a build in full. by: place (in raw), session, user_period. -#}
{% macro touched_only(by, period_column="billing_period") -%}
    {%- if model.resource_type == "model" and is_incremental() -%}
        {{ only_touched(by, period_column) }}
    {%- endif -%}
{%- endmacro %}

{#- A relation, or what was touched of it: where one that is large is read several times, and a CTE would keep all of it in memory. -#}
{% macro touched_rows(relation, by) -%}
    (select * from {{ relation }} {{ touched_only(by) }})
{%- endmacro %}

{#- The same as touched_only, always. by is new (of raw, before anything was staged of it) or line as well. -#}
{% macro only_touched(by, period_column="billing_period") -%}
    {%- if by == "place" -%}
        semi join touched.sessions using (load_id, row_number)
    {%- elif by == "new" -%}
        where load_id > (select coalesce(max(load_id), 0) from {{ relation_of("stg_miosa__usage_sessions") }})
    {%- elif by == "line" -%}
        semi join (
            select line_id from {{ relation_of("int_rated_lines") }} {{ only_touched("user_period") }}
        ) using (line_id)
    {%- elif by == "session" -%}
        semi join touched.sessions using (row_hash, load_id)
    {%- elif period_column == "billing_period" -%}
        semi join touched.user_periods using (external_user_id, billing_period)
    {%- else -%}
        semi join (
            select external_user_id, billing_period as {{ period_column }} from touched.user_periods
        ) using (external_user_id, {{ period_column }})
    {%- endif -%}
{%- endmacro %}

{#- Whether data tests read only what this run touched. -#}
{% macro tests_touched_only() %}
    {{ return(execute and flags.WHICH == "build" and is_partial_build()) }}
{% endmacro %}

{#-
    What a data test reads of a relation: in a build that did only what was touched, that; all of it at a closing, on
    --full-refresh, and whenever it is `dbt test` that runs. by: as above; without it, what the model is kept by.
    asks_statistics: for nulls or bounds. Blocks' statistics answer that for all of a relation sooner than what was touched
    could be told, but where the model joins, as its meta says.
-#}
{% macro touched_part(relation, by=none, period_column="billing_period", asks_statistics=false) -%}
    {%- set of = namespace(by=by, period_column=period_column) -%}
    {%- if tests_touched_only() -%}
        {%- for nodes in (graph.nodes, graph.sources) if by is none -%}
            {%- for node in nodes.values() if node.relation_name == relation | string -%}
                {%- set meta = node.config.get("meta", {}) -%}
                {%- if not asks_statistics or meta.get("joins") -%}
                    {%- set of.by = meta.get("kept_by") -%}
                    {%- set of.period_column = meta.get("period_column", "billing_period") -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- if of.by is not none -%}
            {{ return("(from " ~ relation ~ " " ~ only_touched(of.by, of.period_column) ~ ")") }}
        {%- endif -%}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}

{#- dbt asks this for what a generic test reads. -#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get("where", "") -%}
    {%- set part = touched_part(relation, asks_statistics=model.test_metadata.name in ("never_null", "at_least")) -%}
    {{ return("(select * from " ~ part ~ " where " ~ where ~ ") as dbt_subquery" if where else part) }}
{%- endmacro %}

{#- Hook of a kept model, last before it: drops what it makes again. -#}
{% macro drop_touched() -%}
    {%- if is_incremental() -%}
        {%- if model.config.meta.kept_by == "session" -%}
            delete from {{ this }} where row_hash in (select row_hash from touched.sessions)
        {%- else -%}
            delete from {{ this }}
            where (external_user_id, {{ model.config.meta.period_column }}) in (
                select (external_user_id, billing_period) from touched.user_periods
            )
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Hook before the staged sessions: the rows of loads that they do not know, and what else has these rows' hashes. Not what a
    newer version takes the place of: to read it in raw would be to read all of raw, since corrections lie all over the past. -#}
{% macro touch_new_sessions() -%}
    {%- if is_incremental() -%}
        {%- set new_rows = source("raw", "usage_sessions") ~ " " ~ only_touched("new") %}
        insert into touched.sessions
        select row_hash, load_id, row_number
        from {{ new_rows }};
        insert into touched.sessions
        select staged.row_hash, staged.load_id, staged.row_number
        from {{ this }} as staged
        anti join (from {{ new_rows }}) as newer
            on
                staged.row_hash = newer.row_hash
                and staged.row_key = newer.row_key
                and staged.has_session_id = newer.has_id
        where staged.row_hash in (select row_hash from touched.sessions)
    {%- endif -%}
{%- endmacro %}

{#- Hook before the sessions with their owners: those that now belong to another owner of their sandbox, and all that share their
    hashes. -#}
{% macro touch_new_owners() -%}
    {%- if is_incremental() -%}
        insert into touched.sessions
        select row_hash, load_id, row_number
        from {{ this }}
        where row_hash in (
            select sessions.row_hash
            from {{ this }} as sessions
            left join {{ ref("int_sandbox_owners") }} as owners
                on
                    sessions.sandbox_id = owners.sandbox_id
                    and sessions.started_at_utc >= owners.valid_from_utc
                    and (owners.valid_to_utc is null or sessions.started_at_utc < owners.valid_to_utc)
            where
                sessions.is_owned_by_sandbox
                and sessions.external_user_id <> coalesce(owners.external_user_id, '{{ unattributed() }}')
        )
    {%- endif -%}
{%- endmacro %}

{#- Hook before a model by session and period: the periods from which touched sessions go. -#}
{% macro touch_periods_left() -%}
    {%- if is_incremental() -%}
        insert into touched.user_periods
        select distinct external_user_id, billing_period
        from {{ this }}
        where row_hash in (select row_hash from touched.sessions)
    {%- endif -%}
{%- endmacro %}

{#- Hook after it: those to which they come. -#}
{% macro touch_periods_entered() -%}
    {%- if is_incremental() -%}
        insert into touched.user_periods
        select distinct external_user_id, billing_period
        from {{ this }} {{ only_touched("session") }}
    {%- endif -%}
{%- endmacro %}

{#- Hook before a model of input_snapshots(): the periods in which what it was made of has changed. -#}
{% macro mark_changed_inputs() -%}
    {%- if is_incremental() -%}
        {%- set beside = input_snapshots()[this.identifier] -%}
        {%- set columns = beside.columns | join(", ") -%}
        {%- set today = "select " ~ columns ~ " from " ~ ref(beside.of) ~ " where " ~ beside.where -%}
        {%- set before = "select " ~ columns ~ " from touched.known_" ~ beside.of -%}
        {#- By counts, since EXCEPT ALL would number the rows of both. #}
        insert into touched.user_periods
        select distinct external_user_id, billing_period
        from (
            select {{ columns }}
            from (select *, 1 as more from ({{ today }}) union all select *, -1 as more from ({{ before }}))
            group by {{ columns }}
            having sum(more) <> 0
        )
    {%- endif -%}
{%- endmacro %}

{#- Hook after it: that is known now. -#}
{% macro snapshot_inputs() -%}
    {%- if keeps_history() -%}
        {%- set beside = input_snapshots()[this.identifier] -%}
        delete from touched.known_{{ beside.of }};
        insert into touched.known_{{ beside.of }}
        select {{ beside.columns | join(", ") }} from {{ ref(beside.of) }} where {{ beside.where }}
    {%- endif -%}
{%- endmacro %}
