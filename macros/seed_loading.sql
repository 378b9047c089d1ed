{#- How dbt loads this project's seeds. These macros override dbt's own, except for seeds of other packages. -#}

{#- The seed's columns as dbt_project.yml declares them. Stops the run if the file's header lacks one, which would otherwise be null
    in all rows. Unnamed columns at the end of a header are left out; agate names those by their position (d, e, …). -#}
{% macro seed_columns(model, agate_table) %}
    {%- set declared = model["config"].get("column_types", {}).keys() | list -%}
    {%- set missing = declared | reject("in", agate_table.column_names) | list -%}
    {%- if missing -%}
        {{ exceptions.raise_compiler_error(
            model["original_file_path"] ~ ", line 1, column " ~ missing | join(", ") ~ ": it is missing: the header must be "
            ~ declared | join(",")
        ) }}
    {%- endif -%}
    {{ return(declared or agate_table.column_names | list) }}
{% endmacro %}

{#- Creates a seed's table with its declared columns, as text. -#}
{% macro duckdb__create_csv_table(model, agate_table) %}
    {%- if model["package_name"] != project_name -%}
        {{ return(dbt.default__create_csv_table(model, agate_table)) }}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for column in seed_columns(model, agate_table) -%}{%- do columns.append(adapter.quote(column) ~ " varchar") -%}{%- endfor -%}
    {%- set sql = "create table " ~ this.render() ~ " (" ~ columns | join(", ") ~ ")" -%}
    {%- call statement("_") -%}{{ sql }}{%- endcall -%}
    {{ return(sql) }}
{% endmacro %}

{#- dbt-spark's own macro, after a check of the header: Spark has no plugin that reads the file first. -#}
{% macro spark__create_csv_table(model, agate_table) %}
    {%- if model["package_name"] == project_name -%}
        {%- do seed_columns(model, agate_table) -%}
    {%- endif -%}
    {{ return(dbt.spark__create_csv_table(model, agate_table)) }}
{% endmacro %}

{#- Loads a seed as text, verbatim: no guessing of quotes or types, and columns by name, whatever their order. Empty is
    null; a row of empty cells, as spreadsheets leave them at the end, is no row. dbt_miosa_billing/seed_files.py has read the file by
    strict rules before; DuckDB's own would refuse a line break within quotes, and mistake rows where line ends are mixed. -#}
{% macro duckdb__load_csv_rows(model, agate_table) %}
    {%- if model["package_name"] != project_name -%}
        {{ return(dbt.duckdb__load_csv_rows(model, agate_table)) }}
    {%- endif -%}
    {%- set columns, file_columns = [], [] -%}
    {%- for column in seed_columns(model, agate_table) -%}{%- do columns.append(adapter.quote(column)) -%}{%- endfor -%}
    {%- for column in agate_table.column_names -%}{%- do file_columns.append(text_literal(column) ~ ": 'varchar'") -%}{%- endfor -%}
    {%- set sql -%}
        insert into {{ this.render() }} ({{ columns | join(", ") }})
        select {{ columns | join(", ") }}
        from read_csv(
            {{ text_literal(adapter.get_seed_file_path(model)) }},
            header = true, auto_detect = false, columns = {{ "{" ~ file_columns | join(", ") ~ "}" }}, null_padding = true,
            delim = ',', quote = '"', escape = '"', nullstr = '', parallel = false, strict_mode = false, new_line = '\n'
        )
        where coalesce({{ columns | join(", ") }}) is not null
    {%- endset -%}
    {%- do adapter.add_query(sql, abridge_sql_log=True) -%}
    {{ return(sql) }}
{% endmacro %}

{#- dbt's own macro, without its file: it writes a seed's SQL under target/run, at the seed's path. With an absolute SEEDS_PATH
    that path is the seed itself, and dbt would overwrite the file that people edit. -#}
{% macro noop_statement(name=none, message=none, code=none, rows_affected=none, res=none) -%}
    {%- set sql = caller() -%}
    {%- if model["package_name"] != project_name -%}
        {% call dbt.noop_statement(name, message, code, rows_affected, res) %}{{ sql }}{% endcall %}
    {%- elif name is not none -%}
        {{ store_raw_result(name, message=message, code=code, rows_affected=rows_affected, agate_table=res) }}
    {%- endif -%}
{%- endmacro %}
