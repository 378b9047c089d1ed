{#-
    Closing a period (rule 23): `dbt build --vars '{close_period: "2026-10"}'`. The build itself is the same as any other.
    Before it, a close that cannot succeed is refused at once. After it, and only if every model and every test of the project
    succeeded, the period's lines and their usage are appended to the ledger, and all models that read the ledger are rebuilt.
    This is one transaction, so that an interrupted close leaves the period either closed or open, never half closed.
-#}

{#- The period to close, or none. -#}
{% macro period_to_close() %}
    {%- set period = var("close_period", none) -%}
    {{ return(none if period is none or period | string | length == 0 else period | string) }}
{% endmacro %}

{#- The first row of a query, or none. -#}
{% macro first_row(sql) %}
    {%- set rows = run_query(sql).rows -%}
    {{ return(rows[0] if rows | length > 0 else none) }}
{% endmacro %}

{#- SQL that fails with a message: the period was not closed, and why. The run is recorded first. -#}
{% macro refuse_to_close(results, why) %}
    {%- do record_end(results, "refused") -%}
    {%- set sentence = period_to_close() ~ " was not closed: " ~ why -%}
    select {{ fail_with(text_literal(sentence)) }}
{% endmacro %}

{#- The month after a period, as a period. -#}
{% macro period_after(period) %}
    {%- set year, month = period[:4] | int, period[5:] | int -%}
    {{ return("%04d-%02d" % ((year, month + 1) if month < 12 else (year + 1, 1))) }}
{% endmacro %}

{#- on-run-start: refuses a close that cannot succeed, before anything is built. -#}
{% macro check_close_period() %}
    {%- if execute and period_to_close() is not none -%}
        {%- set period = period_to_close() -%}
        {%- set ledger = first_row(
            "select max(billing_period), max(closed_at_utc) filter (where billing_period = '"
            ~ period | replace("'", "''") ~ "') from ledger.closed_periods"
        ) -%}
        {%- set now = modules.datetime.datetime.now(modules.pytz.utc).replace(tzinfo=none) -%}
        {%- set why = none -%}
        {%- do is_set("accept_large_changes") -%}
        {%- do number_variable("close_brake_percent") -%}
        {%- do number_variable("close_brake_factor") -%}
        {%- if not names_a_period(period) -%}
            {%- set why = "close_period must be a billing period like \"2026-10\"" -%}
        {%- elif flags.WHICH != "build" -%}
            {%- set why = "only dbt build closes a period, because it builds and tests it first" -%}
        {%- elif ledger[1] is not none -%}
            {%- set why = "it has been closed already, at " ~ ledger[1] ~ " UTC; what changed since is billed as an "
                ~ "adjustment in the first open period" -%}
        {%- elif ledger[0] is not none and period_after(ledger[0]) != period -%}
            {%- set why = "periods close in order, and the next one is " ~ period_after(ledger[0]) -%}
        {%- elif now < modules.datetime.datetime.strptime(period_after(period), "%Y-%m") -%}
            {%- set why = "it has not ended yet: it ends with its last day, in UTC" -%}
        {%- endif -%}
        {%- if why is not none -%}
            {{ exceptions.raise_compiler_error(period ~ " was not closed: " ~ why) }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{#- Names of nodes for a message, at most five. -#}
{% macro some_names(names) %}
    {{ return(names[:5] | join(", ") ~ (" and " ~ (names | length - 5) ~ " more" if names | length > 5 else "")) }}
{% endmacro %}

{#- The reason why a run was not a successful build of the whole project, or none if it was. A warning is no failure: only a test that
    a variable makes one warns (vendor_invoice_check). Unit tests are not in graph.nodes: they may be left out (selectors.yml), but not fail. -#}
{% macro incomplete_build_reason(results) %}
    {%- set failed, done = [], [] -%}
    {%- for result in results -%}
        {%- do done.append(result.node.unique_id) -%}
        {%- if result.status | string not in ("success", "pass", "no-op", "warn") -%}
            {%- do failed.append(result.node.name) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set left_out = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type != "operation" and node.unique_id not in done -%}
        {%- do left_out.append(node.name) -%}
    {%- endfor -%}
    {%- if failed -%}
        {{ return("not everything went well (" ~ some_names(failed) ~ "): see above") }}
    {%- elif left_out or flags.EMPTY -%}
        {{ return("a closing builds and tests the whole project: leave out --select, --exclude and --empty") }}
    {%- endif -%}
    {{ return(none) }}
{% endmacro %}

{#- on-run-end: closes the period, or fails with a message and changes nothing. -#}
{% macro close_period(results) %}
    {%- if execute and period_to_close() is not none -%}
        {%- set errors = incomplete_build_reason(results) -%}
        {{ refuse_to_close(results, errors) if errors is not none else close_built_period(results) }}
    {%- endif -%}
{% endmacro %}

{#- Closes the period after everything was built and tested, unless a condition of the close is not met. -#}
{% macro close_built_period(results) %}
    {%- set period = period_to_close() -%}
    {%- set relations = {} -%}
    {%- for result in results -%}
        {%- do relations.update({result.node.name: result.node.relation_name}) -%}
    {%- endfor -%}
    {%- set state = first_row(
        "select (select billing_period from " ~ relations["int_billing_periods"] ~ " where is_first_open), "
        ~ "(select is_complete from " ~ relations["int_usage_periods"] ~ " where billing_period = '" ~ period ~ "'), "
        ~ "max(started_at_utc) from " ~ relations["stg_miosa__loads"] ~ " where resource = 'usage_sessions'"
    ) -%}
    {%- set period_end = modules.datetime.datetime.strptime(period_after(period), "%Y-%m") -%}
    {%- if state[0] is none -%}
        {{ refuse_to_close(results, "nobody has any credits, so there is no first period yet: name it with the variable first_billing_period") }}
    {%- elif state[0] != period -%}
        {{ refuse_to_close(results, "periods close in order, and the first one is " ~ state[0]
            ~ "; the variable first_billing_period names another to begin with") }}
    {%- elif state[2] is none or state[2] < period_end or not state[1] -%}
        {{ refuse_to_close(results, "not all of its days have been read since it ended: run python -m extract --from " ~ period
            ~ ", then build again") }}
    {%- else -%}
        {%- set large_changes = [] -%}
        {%- if not is_set("accept_large_changes") -%}
            {%- for row in run_query(
                "select message from " ~ relations["int_close_brakes"] ~ " where is_exceeded order by brake, currency"
            ).rows -%}
                {%- do large_changes.append(row[0]) -%}
            {%- endfor -%}
        {%- endif -%}
        {{ append_to_ledger(results, relations, period) if not large_changes else refuse_to_close(
            results, large_changes | join("; ") ~ ": look at marts.rpt_close_review; if it is meant, add accept_large_changes: true to --vars"
        ) }}
    {%- endif -%}
{% endmacro %}

{#- Appends to the ledger, in one transaction with the rebuild of the models that read it. -#}
{% macro append_to_ledger(results, relations, period) %}
    {%- set closed_at = modules.datetime.datetime.now(modules.pytz.utc).strftime("%Y-%m-%d %H:%M:%S.%f") -%}
    {%- set lines, line_usage = relations["fct_invoice_lines"], relations["fct_invoice_line_usage"] -%}
    {%- set line_columns = ledger_tables()["closed_invoice_lines"].keys() | list -%}
    {%- set usage_columns = ledger_tables()["closed_line_usage"].keys() | list -%}
    {%- set cost_columns = ledger_tables()["closed_costs"].keys() | list -%}
    {%- call statement("append_lines", auto_begin=True) -%}
        insert into ledger.closed_invoice_lines ({{ line_columns | join(", ") }})
        {%- set given = {
            "closed_at_utc": "timestamp '" ~ closed_at ~ "'",
            "issuer_id": "documents.issuer_id",
            "document_sequence": "documents.document_sequence",
            "document_number": "documents.document_number",
        } %}
        select {% for column in line_columns -%}
            {{ given.get(column, "lines." ~ column) }}{{ ", " if not loop.last }}
        {%- endfor %}
        from {{ lines }} as lines
        inner join ({{ new_document_numbers(relations, lines, period, closed_at) }}) as documents on lines.invoice_id = documents.invoice_id
        where lines.status = 'open' and lines.invoice_period = '{{ period }}'
    {%- endcall -%}
    {%- call statement("append_usage") -%}
        insert into ledger.closed_line_usage ({{ usage_columns | join(", ") }})
        select {{ usage_columns | join(", ") }}
        from {{ line_usage }} where status = 'open' and invoice_period = '{{ period }}'
    {%- endcall -%}
    {%- call statement("append_costs") -%}
        insert into ledger.closed_costs ({{ cost_columns | join(", ") }})
        select {{ cost_columns | join(", ") }}
        from {{ relations["int_focus_costs"] }} where billing_period = '{{ period }}'
    {%- endcall -%}
    {%- call statement("append_period") -%}
        insert into ledger.closed_periods (
            billing_period, closed_at_utc, newest_load_id, code_version, invocation_id, invoice_count, line_count,
            usage_row_count, credits, amounts_minor, checksum, cost_row_count, cost_credits, cost_checksum
        )
        select
            '{{ period }}', timestamp '{{ closed_at }}', (select max(load_id) from {{ relations["stg_miosa__loads"] }}),
            {{ code_version() }}, '{{ invocation_id }}', coalesce(totals.invoice_count, 0), coalesce(totals.line_count, 0),
            coalesce(totals.usage_row_count, 0), coalesce(totals.credits, 0), coalesce(amounts.amounts_minor, ''),
            coalesce(totals.checksum, {{ sha256("''") }}),
            coalesce(cost_totals.cost_row_count, 0), coalesce(cost_totals.cost_credits, 0), coalesce(cost_totals.cost_checksum, {{ sha256("''") }})
        from (select 1) as one
        left join ({{ ledger_totals() }}) as totals on totals.billing_period = '{{ period }}'
        left join ({{ ledger_amounts() }}) as amounts on amounts.billing_period = '{{ period }}'
        left join ({{ ledger_cost_totals() }}) as cost_totals on cost_totals.billing_period = '{{ period }}'
    {%- endcall -%}
    {{ rebuild_what_shows_the_ledger(results) }}
    {%- call statement("prove_closing") -%}
        select case when count(*) > 0 then error('{{ period }} was not closed: its lines are still open') end
        from {{ lines }}
        where status = 'open' and (invoice_period <= '{{ period }}' or line_type = 'adjustment')
    {%- endcall -%}
    {%- call statement("prove_numbers") -%}
        select case when count(*) > 0 then error('{{ period }} was not closed: its document numbers would have a gap') end
        from ({{ document_number_errors() }})
    {%- endcall -%}
    {%- set closed = first_row(
        "select invoice_count, line_count, amounts_minor from ledger.closed_periods where billing_period = '" ~ period ~ "'"
    ) -%}
    {%- do adapter.commit() -%}
    {%- do log(period ~ " is closed: " ~ closed[0] ~ " invoices, " ~ closed[1] ~ " lines, in minor units "
        ~ (closed[2] or "nothing"), info=true) -%}
{% endmacro %}

{#-
    A query of the document numbers of a period that is being closed: one row per invoice, in the order of user and currency. They go
    on after the last number of the issuer in the year of the close. Invoices and credit notes share one sequence. The issuer is the one
    of issuer.csv that is in force on the period's first day; null without one.
-#}
{% macro new_document_numbers(relations, lines, period, closed_at) %}
    select
        numbered.invoice_id,
        numbered.issuer_id,
        numbered.document_sequence,
        coalesce(numbered.issuer_id || '-', '') || '{{ closed_at[:4] }}-' || lpad(
            numbered.document_sequence::varchar, greatest(6, length(numbered.document_sequence::varchar))::integer, '0'
        ) as document_number
    from (
        select
            invoices.invoice_id,
            issuer.issuer_id,
            issuer.last_sequence + row_number() over (order by invoices.external_user_id, invoices.currency) as document_sequence
        from (
            select distinct invoice_id, external_user_id, currency
            from {{ lines }}
            where status = 'open' and invoice_period = '{{ period }}'
        ) as invoices
        cross join (
            select
                current_issuer.issuer_id,
                (
                    select coalesce(max(closed.document_sequence), 0)
                    from ledger.closed_invoice_lines as closed
                    where closed.issuer_id is not distinct from current_issuer.issuer_id
                        and extract(year from closed.closed_at_utc) = {{ closed_at[:4] }}
                ) as last_sequence
            from (
                select max_by(issuer_id, valid_from) as issuer_id
                from {{ relations["stg_billing__issuers"] }}
                where valid_from <= {{ period_start_date("'" ~ period ~ "'") }}
            ) as current_issuer
        ) as issuer
    ) as numbered
{% endmacro %}

{#- Rebuilds all models that read the ledger, directly or not, from the SQL that this run compiled, in the order of the run. -#}
{% macro rebuild_what_shows_the_ledger(results) %}
    {%- set of_ledger = [] -%}
    {%- for source in graph.sources.values() if source.source_name == "ledger" -%}
        {%- do of_ledger.append(source.unique_id) -%}
    {%- endfor -%}
    {%- for result in results if result.node.resource_type == "model" -%}
        {%- set node = result.node -%}
        {%- if node.depends_on.nodes | select("in", of_ledger) | list -%}
            {%- do of_ledger.append(node.unique_id) -%}
            {%- if node.config.materialized != "view" -%}
                {%- set columns = adapter.get_columns_in_relation(adapter.get_relation(node.database, node.schema, node.alias)) -%}
                {%- call statement("rebuild_" ~ node.name) -%}
                    {%- if node.fqn[1] == "marts" %}
                    {#- A new table would lose NOT NULL and comments. The tables of marts are small. #}
                    delete from {{ node.relation_name }};
                    insert into {{ node.relation_name }}
                    {%- else %}
                    create or replace table {{ node.relation_name }} as
                    {%- endif %}
                    select {% for column in columns %}{{ column.quoted }}{{ ", " if not loop.last }}{% endfor %}
                    from ({{ node.compiled_code }}
                    )
                {%- endcall -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}

{#- The content of a file as text, or none if there is no file. -#}
{% macro file_content(path) %}
    {%- set found = first_row("select file from glob('" ~ path | replace("'", "''") ~ "')") -%}
    {{ return(first_row("select trim(content, ' ' || chr(10)) from read_text('" ~ path | replace("'", "''") ~ "')")[0] if found else none) }}
{% endmacro %}

{#- The version of the code as an SQL text: CODE_VERSION if it is set, else the git commit of the folder; null if there is neither. -#}
{% macro code_version() %}
    {%- set head = env_var("CODE_VERSION", "") or file_content(".git/HEAD") or "" -%}
    {%- set version = file_content(".git/" ~ head[5:]) if head.startswith("ref: ") else head -%}
    {{ return("'" ~ version | replace("'", "''") ~ "'" if version else "null") }}
{% endmacro %}

{#- One kind of finding of rpt_close_review, as SQL. Arguments: its position among the kinds, its name, the relation to read, the
    condition on its rows, the columns that it fills, and the message. All other columns are null. -#}
{% macro close_finding(kind_order, finding, relation, condition, cells, message) -%}
    select
        {{ kind_order }} as kind_order,
        '{{ finding }}' as finding,
        false as is_blocking,
        {%- for column, type in {
            "external_user_id": "string", "plan_id": "string", "currency": "string", "row_count": "bigint", "credits": "decimal(38, 9)",
            "amount": "decimal(38, 3)", "compared_amount": "decimal(38, 3)",
        }.items() %}
        {{ cells.get(column, "null") }}::{{ type }} as {{ column }},
        {%- endfor %}
        {{ message }} as message
    from {{ relation }}
    where {{ condition }}
{%- endmacro %}
