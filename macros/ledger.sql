{#-
    The ledger: what was closed, for ever. It is no model, so that no rebuild can touch it: these macros create it and
    append to it, and nothing updates it, deletes from it or drops it.
-#}

{#- Columns of the ledger's tables, in order. -#}
{% macro ledger_tables() %}
    {{ return({
        "closed_periods": {
            "billing_period": "varchar", "closed_at_utc": "timestamp", "newest_load_id": "bigint", "code_version": "varchar",
            "invocation_id": "varchar", "invoice_count": "bigint", "line_count": "bigint", "piece_count": "bigint",
            "credits": "decimal(38, 9)", "amounts_minor": "varchar", "checksum": "varchar",
        },
        "closed_invoice_lines": {
            "line_id": "varchar", "invoice_id": "varchar", "external_user_id": "varchar", "invoice_period": "varchar",
            "service_period": "varchar", "line_type": "varchar", "plan_id": "varchar", "price_valid_from": "date",
            "tier_from_credits": "decimal(18, 9)", "quantity_credits": "decimal(38, 9)", "unit_price": "decimal(18, 9)",
            "amount_minor": "bigint", "amount": "decimal(18, 3)", "currency": "varchar", "currency_exponent": "integer",
            "description": "varchar", "closed_at_utc": "timestamp",
        },
        "closed_line_pieces": {
            "line_id": "varchar", "session_id": "varchar", "usage_date": "date", "credits": "decimal(38, 9)",
            "invoice_period": "varchar",
        },
    }) }}
{% endmacro %}

{#- Creates what is missing of the ledger. Committed here, because dbt rolls back what a run's first hooks left open. -#}
{% macro create_ledger() %}{{ return(adapter.dispatch("create_ledger")()) }}{% endmacro %}

{% macro default__create_ledger() %}
    {%- if execute -%}
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

{#-
    A query of what the ledger's lines and pieces come to, by invoice period: counts, totals, and a checksum over every
    cell of every line and piece. The same query writes the figures of a closing and proves them later. Without pieces, which
    a month's build has no time to read all of, there is neither their count nor a checksum.
-#}
{% macro ledger_totals(with_pieces=true) %}
    {%- set line_cells = [] -%}
    {%- for column in ledger_tables()["closed_invoice_lines"] -%}
        {%- do line_cells.append("(lines." ~ column ~ ")::string") -%}
    {%- endfor -%}
    {%- set piece_cells = [] -%}
    {%- for column in ledger_tables()["closed_line_pieces"] -%}
        {%- do piece_cells.append("(pieces." ~ column ~ ")::string") -%}
    {%- endfor %}
    select
        lines.invoice_period as billing_period,
        count(distinct lines.invoice_id) as invoice_count,
        count(*) as line_count,
        {%- if with_pieces %}
        coalesce(sum(piece_digests.piece_count), 0)::bigint as piece_count,
        {{ sha256(joined_texts(
            text_key(line_cells, hash="sha256") ~ " || coalesce(piece_digests.digest, '')", "", "lines.line_id"
        )) }} as checksum,
        {%- endif %}
        sum(lines.quantity_credits)::decimal(38, 9) as credits
    from ledger.closed_invoice_lines as lines
    {%- if with_pieces %}
    left join (
        select
            pieces.line_id,
            count(*) as piece_count,
            {{ sha256(joined_texts(
                text_key(piece_cells, hash="sha256"), "", "pieces.session_id, pieces.usage_date"
            )) }} as digest
        from ledger.closed_line_pieces as pieces
        group by pieces.line_id
    ) as piece_digests on lines.line_id = piece_digests.line_id
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

{#- How many periods are closed, and the newest of them. -#}
{% macro closed_so_far() %}
    {{ return(first_row("select count(*), coalesce(max(billing_period), 'none') from ledger.closed_periods")) }}
{% endmacro %}

{#- Writes the ledger as Parquet, one file a table, into the folder LEDGER_FOLDER, which is there (`make backup-ledger`). -#}
{% macro backup_ledger() %}
    {%- set folder = env_var("LEDGER_FOLDER") -%}
    {%- do create_ledger() -%}
    {%- for table in ledger_tables() -%}
        {%- do run_query("copy ledger." ~ table ~ " to '" ~ folder | replace("'", "''") ~ "/" ~ table ~ ".parquet' (format parquet)") -%}
    {%- endfor -%}
    {%- set kept = closed_so_far() -%}
    {%- do print(kept[0] ~ " closed periods, the newest " ~ kept[1]) -%}
{% endmacro %}

{#- Reads a backup, the folder LEDGER_FOLDER, into an empty ledger, whole or not at all, and only if it proves to be what
    was closed (`make restore-ledger`). -#}
{% macro restore_ledger() %}
    {%- set folder = env_var("LEDGER_FOLDER") -%}
    {%- do create_ledger() -%}
    {%- do open_history() -%}
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
            select {{ columns | join(", ") }} from read_parquet('{{ folder | replace("'", "''") }}/{{ table }}.parquet')
        {%- endcall -%}
    {%- endfor -%}
    {%- set broken = first_row(ledger_faults()) -%}
    {%- if broken is not none -%}
        {{ exceptions.raise_compiler_error(
            "the backup is not what was closed (" ~ broken[0] ~ " differs from its checksum), nothing was restored"
        ) }}
    {%- endif -%}
    {%- set kept = closed_so_far() -%}
    {#- What was built of no ledger is no history to go on from. -#}
    {%- call statement("forget_history") -%}
        delete from touched.built_by
    {%- endcall -%}
    {%- do adapter.commit() -%}
    {%- do print(kept[0] ~ " closed periods restored, the newest " ~ kept[1]) -%}
{% endmacro %}

{#-
    A query of the periods of the ledger that are not as they were closed: lines or pieces other than their counts, totals
    and checksum say, lines of no closed period, or a gap between periods (rule 23). No row: the ledger is intact; without
    pieces, its lines' counts and totals are.
-#}
{% macro ledger_faults(with_pieces=true) %}
    select
        coalesce(closed_periods.billing_period, totals.billing_period) as billing_period,
        closed_periods.checksum
    from (
        select
            *,
            lag(billing_period) over (order by billing_period) as previous_period
        from ledger.closed_periods
    ) as closed_periods
    full outer join ({{ ledger_totals(with_pieces) }}) as totals on closed_periods.billing_period = totals.billing_period
    left join ({{ ledger_amounts() }}) as amounts on closed_periods.billing_period = amounts.billing_period
    where
        closed_periods.billing_period is null
        {%- if with_pieces %}
        or closed_periods.checksum is distinct from coalesce(totals.checksum, {{ sha256("''") }})
        or closed_periods.piece_count is distinct from coalesce(totals.piece_count, 0)
        {%- endif %}
        or closed_periods.line_count is distinct from coalesce(totals.line_count, 0)
        or closed_periods.invoice_count is distinct from coalesce(totals.invoice_count, 0)
        or closed_periods.credits is distinct from coalesce(totals.credits, 0)
        or closed_periods.amounts_minor is distinct from coalesce(amounts.amounts_minor, '')
        or closed_periods.previous_period
        <> {{ billing_period(period_start("closed_periods.billing_period") ~ " - interval 1 month") }}
{% endmacro %}
