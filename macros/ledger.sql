{#-
    The ledger: what was closed, for ever. It is no model, so that no rebuild can touch it: these macros create it and
    append to it, and nothing updates it, deletes from it or drops it.
-#}

{#- Columns of the ledger's tables, in order. Also what `python -m tools.ledger` writes and reads back. -#}
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
{% macro create_ledger() %}
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
    cell of every line and piece. The same query writes the figures of a closing and proves them later.
-#}
{% macro ledger_totals() %}
    {%- set line_cells = [] -%}
    {%- for column in ledger_tables()["closed_invoice_lines"] -%}
        {%- do line_cells.append("(lines." ~ column ~ ")::varchar") -%}
    {%- endfor -%}
    {%- set piece_cells = [] -%}
    {%- for column in ledger_tables()["closed_line_pieces"] -%}
        {%- do piece_cells.append("(pieces." ~ column ~ ")::varchar") -%}
    {%- endfor %}
    select
        lines.invoice_period as billing_period,
        count(distinct lines.invoice_id) as invoice_count,
        count(*) as line_count,
        coalesce(sum(piece_digests.piece_count), 0)::bigint as piece_count,
        sum(lines.quantity_credits)::decimal(38, 9) as credits,
        sha256(
            string_agg(
                {{ text_key(line_cells, hash="sha256") }} || coalesce(piece_digests.digest, ''),
                '' order by lines.line_id
            )
        ) as checksum
    from ledger.closed_invoice_lines as lines
    left join (
        select
            pieces.line_id,
            count(*) as piece_count,
            sha256(
                string_agg(
                    {{ text_key(piece_cells, hash="sha256") }}, '' order by pieces.session_id, pieces.usage_date
                )
            ) as digest
        from ledger.closed_line_pieces as pieces
        group by pieces.line_id
    ) as piece_digests on lines.line_id = piece_digests.line_id
    group by lines.invoice_period
{% endmacro %}

{#- A query of each closed period's amounts by currency, as a text like `EUR 1234, USD -5` in minor units. -#}
{% macro ledger_amounts() %}
    select
        amounts.invoice_period as billing_period,
        string_agg(amounts.currency || ' ' || amounts.amount_minor::varchar, ', ' order by amounts.currency) as amounts_minor
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
