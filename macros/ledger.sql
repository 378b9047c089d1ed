{#-
    The ledger: everything that was closed, permanently. Its tables are not models, so that no rebuild can change them. These
    macros create them and append to them; nothing updates them, deletes from them or drops them.
-#}

{#- Columns of the ledger's tables, in order. -#}
{% macro ledger_tables() %}
    {{ return({
        "closed_periods": {
            "billing_period": "varchar", "closed_at_utc": "timestamp", "newest_load_id": "bigint", "code_version": "varchar",
            "invocation_id": "varchar", "invoice_count": "bigint", "line_count": "bigint", "usage_row_count": "bigint",
            "credits": "decimal(38, 9)", "amounts_minor": "varchar", "checksum": "varchar",
        },
        "closed_invoice_lines": {
            "line_id": "varchar", "invoice_id": "varchar", "external_user_id": "varchar", "invoice_period": "varchar",
            "service_period": "varchar", "line_type": "varchar", "plan_id": "varchar", "price_valid_from": "date",
            "tier_from_credits": "decimal(18, 9)", "quantity_credits": "decimal(38, 9)", "unit_price": "decimal(18, 9)",
            "amount_minor": "bigint", "amount": "decimal(18, 3)", "currency": "varchar", "currency_exponent": "integer",
            "description": "varchar", "closed_at_utc": "timestamp", "service_day_mask": "bigint", "plan_days_key": "varchar",
            "adjustment_reasons": "varchar", "price_changes": "varchar",
        },
        "closed_line_usage": {
            "line_id": "varchar", "session_id": "varchar", "usage_date": "date", "credits": "decimal(38, 9)",
            "invoice_period": "varchar", "amount": "decimal(38, 9)", "usage_seconds": "bigint", "sandbox_id": "varchar",
            "external_project_id": "varchar", "workspace_id": "varchar", "change_reason": "varchar", "change_load_id": "bigint",
            "change_read_at_utc": "timestamp",
        },
    }) }}
{% endmacro %}

{#- Columns that later versions added to the ledger's tables. They are null in periods that were closed before. -#}
{% macro later_ledger_columns() %}
    {{ return({
        "closed_periods": [],
        "closed_invoice_lines": ["service_day_mask", "plan_days_key", "adjustment_reasons", "price_changes"],
        "closed_line_usage": [
            "amount", "usage_seconds", "sandbox_id", "external_project_id", "workspace_id", "change_reason", "change_load_id",
            "change_read_at_utc",
        ],
    }) }}
{% endmacro %}

{#-
    A digest of a row of the ledger, over every cell. A null in a later column adds nothing to it, so that periods closed before
    that column existed keep their checksums; a text in it is preceded by its column's name and its length.
-#}
{% macro ledger_row_digest(table, alias) %}
    {%- set cells, later = [], [] -%}
    {%- for column in ledger_tables()[table] -%}
        {%- set cell = "(" ~ alias ~ "." ~ column ~ ")::string" -%}
        {%- if column in later_ledger_columns()[table] -%}
            {%- do later.append("coalesce('" ~ column ~ ":' || length(" ~ cell ~ ")::string || ':' || " ~ cell ~ ", '')") -%}
        {%- else -%}
            {%- do cells.append(cell) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(text_key(cells, hash="sha256", suffix=later | join(" || "))) }}
{% endmacro %}

{#- Names of earlier versions of the ledger: the older name by the newer one. -#}
{% macro ledger_renames() %}
    {{ return({"closed_line_usage": "closed_line_pieces", "usage_row_count": "piece_count"}) }}
{% endmacro %}

{#- Creates missing tables and columns of the ledger, and renames those of earlier versions. Commits, because dbt rolls back
    transactions that hooks leave open. -#}
{% macro create_ledger() %}{{ return(adapter.dispatch("create_ledger")()) }}{% endmacro %}

{% macro default__create_ledger() %}
    {%- if execute -%}
        {%- do rename_older_ledger() -%}
        {%- call statement("create_ledger", auto_begin=True) -%}
            create schema if not exists ledger;
            {%- for table, columns in ledger_tables().items() %}
            create table if not exists ledger.{{ table }} (
                {%- for column, type in columns.items() %}{{ column }} {{ type }}{{ ", " if not loop.last }}{% endfor -%}
            );
            {%- for column, type in columns.items() %}
            alter table ledger.{{ table }} add column if not exists {{ column }} {{ type }};
            {%- endfor %}
            {%- endfor %}
        {%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}

{#- Gives tables and columns of an earlier version their new names, and changes nothing else. -#}
{% macro rename_older_ledger() %}
    {%- set renames = ledger_renames() -%}
    {%- set names = [] -%}
    {%- for row in run_query(
        "select table_name, column_name from information_schema.columns where table_catalog = current_database() and table_schema = 'ledger'"
    ).rows -%}
        {%- do names.append(row[0]) -%}
        {%- do names.append(row[0] ~ "." ~ row[1]) -%}
    {%- endfor -%}
    {%- set changes = [] -%}
    {%- for table, columns in ledger_tables().items() -%}
        {%- if table not in names and renames.get(table) in names -%}
            {%- do changes.append("alter table ledger." ~ renames[table] ~ " rename to " ~ table) -%}
        {%- endif -%}
        {%- for column in columns if table ~ "." ~ column not in names and table ~ "." ~ renames.get(column, "") in names -%}
            {%- do changes.append("alter table ledger." ~ table ~ " rename column " ~ renames[column] ~ " to " ~ column) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if changes -%}
        {%- call statement("rename_older_ledger", auto_begin=True) -%}{{ changes | join("; ") }}{%- endcall -%}
        {%- do adapter.commit() -%}
    {%- endif -%}
{% endmacro %}

{#-
    A query of the totals of the ledger by invoice period: counts, credits, and a checksum over every cell of every line and of
    its line usage. The same query writes the figures at a close and proves them later. With with_usage=false it has neither the
    count of line usage nor the checksum: a partial build has no time to read all line usage.
-#}
{% macro ledger_totals(with_usage=true) %}
    select
        lines.invoice_period as billing_period,
        count(distinct lines.invoice_id) as invoice_count,
        count(*) as line_count,
        {%- if with_usage %}
        coalesce(sum(usage_digests.usage_row_count), 0)::bigint as usage_row_count,
        {{ sha256(joined_texts(
            ledger_row_digest("closed_invoice_lines", "lines") ~ " || coalesce(usage_digests.digest, '')", "", "lines.line_id"
        )) }} as checksum,
        {%- endif %}
        sum(lines.quantity_credits)::decimal(38, 9) as credits
    from ledger.closed_invoice_lines as lines
    {%- if with_usage %}
    left join (
        select
            line_usage.line_id,
            count(*) as usage_row_count,
            {{ sha256(joined_texts(
                ledger_row_digest("closed_line_usage", "line_usage"), "", "line_usage.session_id, line_usage.usage_date"
            )) }} as digest
        from ledger.closed_line_usage as line_usage
        group by line_usage.line_id
    ) as usage_digests on lines.line_id = usage_digests.line_id
    {%- endif %}
    group by lines.invoice_period
{% endmacro %}

{#- A query of each closed period's amounts by currency, as a text like `EUR 1234, USD -5` in minor units. -#}
{% macro ledger_amounts() %}
    select
        amounts.invoice_period as billing_period,
        {{ joined_texts("amounts.currency || ' ' || amounts.amount_minor::string", ", ", "amounts.currency") }} as amounts_minor
    from (
        select
            lines.invoice_period,
            lines.currency,
            sum(lines.amount_minor) as amount_minor
        from ledger.closed_invoice_lines as lines
        group by lines.invoice_period, lines.currency
    ) as amounts
    group by amounts.invoice_period
{% endmacro %}

{#- The number of closed periods, and the newest of them. -#}
{% macro closed_so_far() %}
    {{ return(first_row("select count(*), coalesce(max(billing_period), 'none') from ledger.closed_periods")) }}
{% endmacro %}

{#- Writes the ledger as Parquet, one file per table, into the existing folder LEDGER_FOLDER (`make backup-ledger`). -#}
{% macro backup_ledger() %}
    {%- set folder = env_var("LEDGER_FOLDER") -%}
    {%- do create_ledger() -%}
    {%- for table in ledger_tables() -%}
        {%- do run_query("copy ledger." ~ table ~ " to '" ~ folder | replace("'", "''") ~ "/" ~ table ~ ".parquet' (format parquet)") -%}
    {%- endfor -%}
    {%- set kept = closed_so_far() -%}
    {%- do print(kept[0] ~ " closed periods, the newest " ~ kept[1]) -%}
{% endmacro %}

{#- The file of a table in a backup, as an SQL text. A backup of an earlier version may have the older name. -#}
{% macro ledger_file(folder, table) %}
    {%- set older = text_literal(folder ~ "/" ~ ledger_renames().get(table, table) ~ ".parquet") -%}
    {%- set newer = text_literal(folder ~ "/" ~ table ~ ".parquet") -%}
    {{ return(newer if first_row("select 1 from glob(" ~ newer ~ ")") is not none else older) }}
{% endmacro %}

{#- The columns of a table in a backup, in the table's order. A column that the backup lacks is null. -#}
{% macro ledger_columns_of_file(folder, table) %}
    {%- set found, columns = [], [] -%}
    {%- for row in run_query("select name from parquet_schema(" ~ ledger_file(folder, table) ~ ")").rows -%}
        {%- do found.append(row[0]) -%}
    {%- endfor -%}
    {%- for column in ledger_tables()[table] -%}
        {%- set older = ledger_renames().get(column, column) -%}
        {%- do columns.append(column if column in found else (older if older in found else "null")) -%}
    {%- endfor -%}
    {{ return(columns) }}
{% endmacro %}

{#- Restores the backup in the folder LEDGER_FOLDER into an empty ledger (`make restore-ledger`): all of it or nothing, and
    only if its checksums prove that it is what was closed. -#}
{% macro restore_ledger() %}
    {%- set folder = env_var("LEDGER_FOLDER") -%}
    {%- do create_ledger() -%}
    {%- do create_builds() -%}
    {%- do begin_build() -%}
    {%- if closed_so_far()[0] > 0 -%}
        {{ exceptions.raise_compiler_error(
            "this warehouse has closed periods already, nothing was restored: a ledger is only ever restored into an empty one"
        ) }}
    {%- endif -%}
    {%- call statement("begin_restoring", auto_begin=True) -%}
        select 1
    {%- endcall -%}
    {%- for table, columns in ledger_tables().items() -%}
        {%- call statement("restore_" ~ table) -%}
            insert into ledger.{{ table }} ({{ columns | join(", ") }})
            select {{ ledger_columns_of_file(folder, table) | join(", ") }}
            from read_parquet({{ ledger_file(folder, table) }})
        {%- endcall -%}
    {%- endfor -%}
    {%- set broken = first_row(ledger_errors()) -%}
    {%- if broken is not none -%}
        {{ exceptions.raise_compiler_error(
            "the backup is not what was closed (" ~ broken[0] ~ " differs from its checksum), nothing was restored"
        ) }}
    {%- endif -%}
    {%- set kept = closed_so_far() -%}
    {#- Earlier builds did not know this ledger, so the next build has to be a full build. -#}
    {%- call statement("forget_history") -%}
        delete from build_state.whole_builds
    {%- endcall -%}
    {#- Nor do their marts show it. -#}
    {%- call statement("record_start") -%}{{ insert_start("restore_ledger") }}{%- endcall -%}
    {%- call statement("record_end") -%}{{ insert_end([]) }}{%- endcall -%}
    {%- do adapter.commit() -%}
    {%- do print(kept[0] ~ " closed periods restored, the newest " ~ kept[1]) -%}
{% endmacro %}

{#-
    A query of the periods of the ledger that differ from what was closed: lines or line usage that do not match their counts,
    totals or checksum, lines of a period that is not closed, or a gap between periods (rule 23). No row means that the ledger
    is intact; with with_usage=false, that the counts and totals of its lines are.
-#}
{% macro ledger_errors(with_usage=true) %}
    select
        coalesce(closed_periods.billing_period, totals.billing_period) as billing_period,
        closed_periods.checksum
    from (
        select
            *,
            lag(billing_period) over (order by billing_period) as previous_period
        from ledger.closed_periods
    ) as closed_periods
    full outer join ({{ ledger_totals(with_usage) }}) as totals on closed_periods.billing_period = totals.billing_period
    left join ({{ ledger_amounts() }}) as amounts on closed_periods.billing_period = amounts.billing_period
    where
        closed_periods.billing_period is null
        {%- if with_usage %}
        or closed_periods.checksum is distinct from coalesce(totals.checksum, {{ sha256("''") }})
        or closed_periods.usage_row_count is distinct from coalesce(totals.usage_row_count, 0)
        {%- endif %}
        or closed_periods.line_count is distinct from coalesce(totals.line_count, 0)
        or closed_periods.invoice_count is distinct from coalesce(totals.invoice_count, 0)
        or closed_periods.credits is distinct from coalesce(totals.credits, 0)
        or closed_periods.amounts_minor is distinct from coalesce(amounts.amounts_minor, '')
        or closed_periods.previous_period
        <> {{ billing_period(period_start("closed_periods.billing_period") ~ " - interval 1 month") }}
{% endmacro %}
