{#-
    The inputs of Spark: raw as Parquet (`python -m extract --parquet`), and the ledger as `make backup-ledger` wrote it. Each run
    declares both again as external tables, with the types of core/raw/schema.sql and of ledger_tables(), and never writes to their
    files. The extractor writes a load's file in `loads` last, so the views in `raw` show only rows of loads that are listed there.
-#}

{#- The columns of the raw tables that models read, in order: those of core/raw/schema.sql. -#}
{% macro raw_tables() %}
    {%- set row = {"load_id": "bigint", "row_number": "bigint", "row_key": "string", "has_id": "boolean", "row_hash": "bigint"} -%}
    {%- set payload = {"payload": "string", "payload_normalized": "string"} -%}
    {{ return({
        "loads": {
            "load_id": "bigint", "run_id": "string", "resource": "string", "window_start_at_utc": "timestamp",
            "window_end_at_utc": "timestamp", "started_at_utc": "timestamp", "ended_at_utc": "timestamp", "pages": "bigint",
            "rows_listed": "bigint", "distinct_ids": "bigint", "api_total": "bigint", "rows_added": "bigint",
            "extractor_version": "string", "outcome": "string", "http_status": "integer",
        },
        "settings": {"name": "string", "value": "string"},
        "usage_sessions": dict(row, is_void="boolean", is_running="boolean", started_at_utc="timestamp",
            ended_at_utc="timestamp", external_user_id="string", **payload),
        "sandboxes": dict(row, external_user_id="string", **payload),
        "quotas": dict(row, http_status="integer", **payload),
        "quota_reads": {"load_id": "bigint", "row_key": "string"},
        "usage_rollups": dict(row, **payload),
        "usage_summaries": dict(row, **payload),
        "credit_balances": dict(row, **payload),
        "credit_transactions": dict(row, **payload),
        "billing_invoices": dict(row, **payload),
        "billing_overviews": dict(row, **payload),
    }) }}
{% endmacro %}

{#- The raw tables of what was seen at Stripe. Spark is never given them: there they stay empty. -#}
{% macro stripe_tables() %}
    {{ return({
        "stripe_documents": {
            "read_number": "bigint", "invoice_id": "string", "kind": "string", "stripe_id": "string", "stripe_customer_id": "string",
            "currency": "string", "stripe_status": "string", "stripe_amount": "bigint", "line_count": "bigint", "difference": "string",
            "payload": "string", "seen_at_utc": "timestamp",
        },
        "stripe_events": {
            "read_number": "bigint", "invoice_id": "string", "stripe_invoice_id": "string", "object": "string", "stripe_id": "string",
            "status": "string", "currency": "string", "stripe_amount": "bigint", "credited_amount": "bigint", "due_at_utc": "timestamp",
            "happened_at_utc": "timestamp", "payload": "string", "seen_at_utc": "timestamp",
        },
    }) }}
{% endmacro %}

{#- One external table over Parquet. partitions: whether its files are in one folder per month. -#}
{% macro declare_parquet(table, columns, path, partitions) %}
    {%- do run_query("drop table if exists " ~ table) -%}
    {%- set declared = [] -%}
    {%- for column, type in columns.items() -%}{%- do declared.append(column ~ " " ~ spark_type(type)) -%}{%- endfor -%}
    {%- if partitions -%}{%- do declared.append("month string") -%}{%- endif -%}
    {%- do run_query(
        "create table " ~ table ~ " (" ~ declared | join(", ") ~ ") using parquet"
        ~ (" partitioned by (month)" if partitions) ~ (" location " ~ text_literal(path) if path is not none)
    ) -%}
    {%- if partitions -%}{%- do run_query("msck repair table " ~ table) -%}{%- endif -%}
{% endmacro %}

{#- A type of ledger_tables() as Spark spells it. -#}
{% macro spark_type(type) %}{{ return("string" if type == "varchar" else type) }}{% endmacro %}

{#- The value of a setting of the Spark session. -#}
{% macro spark_setting(name) %}{{ return(run_query("set " ~ name).rows[0][1]) }}{% endmacro %}

{% macro spark__require_settings() %}
    {%- if period_to_close() is not none -%}
        {{ exceptions.raise_compiler_error(
            period_to_close() ~ " was not closed: a closing appends to several tables in one transaction, which Spark's tables do "
            ~ "not have; close it on DuckDB (dbt build without --target spark), and give Spark the ledger that "
            ~ "`make backup-ledger` writes, by LEDGER_PARQUET_PATH"
        ) }}
    {%- endif -%}
    {%- if execute -%}
        {%- for name, value in {
            "spark.sql.ansi.enabled": "true",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.decimalOperations.allowPrecisionLoss": "false",
        }.items() -%}
            {%- if spark_setting(name) != value -%}
                {{ exceptions.raise_compiler_error(
                    "this session of Spark has " ~ name ~ " = " ~ spark_setting(name) ~ ", which gives other figures, or none where "
                    ~ "one is too large: set it to " ~ value ~ " at the server"
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}

{% macro spark__require_raw_layer() %}
    {%- if execute and flags.WHICH in ("build", "run", "test", "compile", "show") -%}
        {%- set folder = env_var("RAW_PARQUET_PATH", "") -%}
        {%- if not folder -%}
            {{ exceptions.raise_compiler_error(
                "RAW_PARQUET_PATH is not set: it names the folder that `python -m extract --parquet` lands in, as Spark sees it"
            ) }}
        {%- endif -%}
        {%- do run_query("create schema if not exists raw") -%}
        {%- do run_query("create schema if not exists raw_files") -%}
        {%- for table, columns in raw_tables().items() -%}
            {%- set files = "raw_files." ~ table -%}
            {%- do declare_parquet(files, columns, folder ~ "/" ~ table, table != "settings") -%}
            {%- do run_query(
                "create or replace view raw." ~ table ~ " as select " ~ columns | join(", ") ~ " from " ~ files
                ~ (" left semi join raw_files.loads using (load_id)" if "load_id" in columns and table != "loads")
            ) -%}
        {%- endfor -%}
        {%- for table, columns in stripe_tables().items() -%}
            {%- do declare_parquet("raw." ~ table, columns, none, false) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}

{% macro spark__create_ledger() %}
    {%- if execute and flags.WHICH in ("build", "run", "test", "compile", "show") -%}
        {%- set folder = env_var("LEDGER_PARQUET_PATH", "") -%}
        {%- do run_query("create schema if not exists ledger") -%}
        {%- for table, columns in ledger_tables().items() -%}
            {%- do declare_parquet(
                "ledger." ~ table, columns, folder ~ "/" ~ table ~ ".parquet" if folder else none, false
            ) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}

{#- Runs on Spark are not recorded (keeps_history), so the tables stay empty. -#}
{% macro spark__create_builds() %}
    {%- if execute and flags.WHICH in ("build", "run", "test", "compile", "show") -%}
        {%- do run_query("create schema if not exists builds") -%}
        {%- for table, columns in build_tables().items() -%}
            {%- do declare_parquet("builds." ~ table, columns, none, false) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}
