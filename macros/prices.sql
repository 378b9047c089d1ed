{#- Reading what people type into the seeds, exactly, and naming what is derived from it. -#}

{#- A day typed as YYYY-MM-DD, as DATE; null when it is anything else. The grammar comes first because a cast alone
    accepts other spellings. -#}
{% macro seed_day(text) -%}
    case when {{ full_match(text, "[0-9]{4}-[0-9]{2}-[0-9]{2}") }} then try_cast({{ text }} as date) end
{%- endmacro %}

{#- An amount typed into a seed, as DECIMAL(18,9), exactly; null when it is no plain number, negative, has more than 9
    decimals, or is 10^9 or more. -#}
{% macro seed_amount(text) -%}
    {#- greatest() and nullif() make null of what is negative without a second copy of a long expression. -#}
    {{ nano_to_credits("nullif(greatest(" ~ scaled_integer(text, 9, 9) ~ ", -1), -1)") }}::decimal(18, 9)
{%- endmacro %}

{#- A count typed into a seed, as DECIMAL(18,9); null when it is no whole number, negative, or 10^9 or more. By value: 5.0
    is whole. -#}
{% macro seed_count(text) -%}
    nullif(greatest({{ scaled_integer(text, 0, 9) }}, -1), -1)::decimal(18, 9)
{%- endmacro %}

{#-
    amount * numerator ÷ denominator in a currency's minor units, rounded half away from zero, as a wide integer. The one
    place where money is rounded (rule 3). amount: nano-units of the currency, whole, not negative. exponent: of the
    currency's minor unit (2: cents), 0 to 9. The product of amount and numerator must stay below 10^37.
-#}
{% macro minor_units(nano_amount, numerator, denominator, exponent, scale=9) -%}
    {%- set wide, unit = wide_integer(), power_of_ten(scale ~ " - " ~ exponent) %}
    (
        {{ wide_quotient(
            "((" ~ nano_amount ~ ")::" ~ wide ~ " * (" ~ numerator ~ ")::" ~ wide ~ " * 2 + (" ~ denominator ~ ")::" ~ wide ~ " * " ~ unit ~ ")",
            "((" ~ denominator ~ ")::" ~ wide ~ " * " ~ unit ~ " * 2)",
        ) }}
    )
{%- endmacro %}

{#- Nano-credits, cut where they times a price would come to 10^15 currency units or more: so the product fits a wide integer, and
    within_money_range still refuses the amount. -#}
{% macro priceable_nano(nano_credits, nano_price) -%}
    least({{ nano_credits }}, {{ wide_quotient(power_of_ten(33), "greatest(" ~ nano_price ~ ", 1)") }} + 1)
{%- endmacro %}

{#-
    Minor units as BIGINT; fails with a sentence where the amount is 10^15 currency units or more, which DECIMAL(18,3) cannot
    hold. subject: SQL text that says whose amount it is.
-#}
{% macro within_money_range(amount_minor, exponent, subject) -%}
    case
        when abs({{ amount_minor }}) >= {{ power_of_ten("15 + " ~ exponent) }}
            then {{ fail_with(
                subject ~ " || ' comes to 1,000,000,000,000,000 currency units or more, which no invoice can hold: "
                ~ "correct the prices, or have the vendor correct the usage'"
            ) }}
        else {{ amount_minor }}
    end::bigint
{%- endmacro %}

{#- 10^n as a wide integer; n from 0 to 37. Not pow(): that is a float. -#}
{% macro power_of_ten(n) -%}
    ('1' || repeat('0', ({{ n }})::bigint))::{{ wide_integer() }}
{%- endmacro %}

{#- Minor units (BIGINT) as an amount of the currency, DECIMAL(18,3); exponents 0 to 3. -#}
{% macro minor_to_amount(amount_minor, exponent) -%}
    (
        ({{ amount_minor }})::decimal(38, 0)
        * case {{ exponent }} when 0 then 1.000 when 1 then 0.100 when 2 then 0.010 when 3 then 0.001 end
    )::decimal(18, 3)
{%- endmacro %}

{#- Minor units as an amount of the currency, of any size: DECIMAL(38,3). For messages and sums over many invoices. -#}
{% macro minor_to_decimal(amount_minor, exponent) -%}
    (
        ({{ amount_minor }})::decimal(35, 0)
        * case {{ exponent }} when 0 then 1.000 when 1 then 0.100 when 2 then 0.010 when 3 then 0.001 end
    )::decimal(38, 3)
{%- endmacro %}

{#- A key of several texts: a hash of them, each with its length before it, so that no two lists read the same. Nulls
    are told apart from texts. -#}
{% macro text_key(texts, hash="md5") -%}
    {%- set key %}
        {%- for text in texts %}
        coalesce(length({{ text }})::string || ':' || {{ text }}, '-')
        {{- " || " if not loop.last }}
        {%- endfor %}
    {% endset -%}
    {{ sha256(key) if hash == "sha256" else "md5(" ~ key ~ ")" }}
{%- endmacro %}

{#- The key of an invoice (rule 31): a user, a period and a currency. -#}
{% macro invoice_id(external_user_id, invoice_period, currency) -%}
    {{ text_key([external_user_id, invoice_period, currency]) }}
{%- endmacro %}

{#- The key of an invoice line. Of what the line is for, never of its amounts: a line keeps its key while they change. -#}
{% macro invoice_line_id(
    external_user_id, invoice_period, service_period, line_type, currency, plan_id, price_valid_from, tier_from_credits
) -%}
    {{ text_key([
        external_user_id, invoice_period, service_period, line_type, currency, plan_id,
        "(" ~ price_valid_from ~ ")::string", "(" ~ tier_from_credits ~ ")::string",
    ]) }}
{%- endmacro %}

{#- A decimal as people write it: without the zeros behind its last digit. -#}
{% macro plain_number(amount) -%}
    trim(trailing '.' from trim(trailing '0' from ({{ amount }})::string))
{%- endmacro %}

{#- A variable as an SQL text, or null where it is not set. Quoted, so that no value can end the text. -#}
{% macro text_variable(name) -%}
    {%- set value = var(name, none) -%}
    {%- if value is none or value | string | length == 0 -%}
        null::string
    {%- else -%}
        {{ text_literal(value) }}
    {%- endif -%}
{%- endmacro %}

{#- Whether a text is the name of a billing period (rule 11). -#}
{% macro names_a_period(text) -%}
    {{ return(modules.re.fullmatch("[0-9]{4}-(0[1-9]|1[0-2])", text) is not none) }}
{%- endmacro %}

{#- A variable that names a billing period, as an SQL text or null; refused with a sentence when it is none. -#}
{% macro period_variable(name) -%}
    {%- set value = var(name, none) | string -%}
    {%- if var(name, none) is not none and value | length > 0 and not names_a_period(value) -%}
        {{ exceptions.raise_compiler_error(
            "the variable " ~ name ~ " is '" ~ value ~ "': it must be a billing period like \"2026-10\", in quotes"
        ) }}
    {%- endif -%}
    {{ text_variable(name) }}
{%- endmacro %}

{#- A variable that is an amount, as an exact SQL number: a text like "0.01", because a bare number would be a float. -#}
{% macro amount_variable(name) -%}
    {%- set value = var(name) -%}
    {%- if value is not string or not modules.re.fullmatch("[0-9]{1,9}([.][0-9]{1,9})?", value) -%}
        {{ exceptions.raise_compiler_error(
            "the variable " ~ name ~ " is " ~ value ~ ": it must be an amount in quotes, like \"0.01\", with at most 9 decimals"
        ) }}
    {%- endif -%}
    '{{ value }}'::decimal(18, 9)
{%- endmacro %}

{#- A variable that is a number, not negative, as an exact SQL number: 20, 12.5 or a text like them. -#}
{% macro number_variable(name) -%}
    {%- set value = var(name) | string -%}
    {%- if not modules.re.fullmatch("[0-9]{1,9}([.][0-9]{1,9})?", value) -%}
        {{ exceptions.raise_compiler_error(
            "the variable " ~ name ~ " is '" ~ value ~ "': it must be a number like 20 or 12.5, not negative"
        ) }}
    {%- endif -%}
    '{{ value }}'::decimal(18, 9)
{%- endmacro %}

{#- Whether a variable is set: true or false, also as a text. -#}
{% macro is_set(name) -%}
    {%- set value = var(name) | string | lower -%}
    {%- if value not in ("true", "false") -%}
        {{ exceptions.raise_compiler_error("the variable " ~ name ~ " is '" ~ value ~ "': it must be true or false") }}
    {%- endif -%}
    {{ return(value == "true") }}
{%- endmacro %}

{#- The seed's columns as dbt_project.yml declares them. Stops the run where the file's header differs: a lost column would be null
    everywhere. Columns without a name at the end of a header are left out; agate names those by their place (d, e, …). -#}
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

{#- Creates a seed's table with its declared columns, as text; seeds of other packages as dbt does. -#}
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

{#- dbt-spark's own macro, after a look at the header: Spark has no plugin that reads the file first. -#}
{% macro spark__create_csv_table(model, agate_table) %}
    {%- do seed_columns(model, agate_table) -%}
    {{ return(dbt.spark__create_csv_table(model, agate_table)) }}
{% endmacro %}

{#- Loads a seed as text, verbatim: no guessing of quotes or types, and columns by name, whatever their order. Empty is
    null; a row of empty cells, as spreadsheets leave them at the end, is no row. extract/seed_files.py has read the file by
    strict rules before; DuckDB's own would refuse a line break within quotes, and mistake rows where line ends are mixed. -#}
{% macro duckdb__load_csv_rows(model, agate_table) %}
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

{#- dbt's own macro, less what it writes: it keeps a seed's SQL under target/run, at the seed's path there. An absolute
    SEEDS_PATH leads out of that folder, to the seed itself, and what people typed would be written over. -#}
{% macro noop_statement(name=none, message=none, code=none, rows_affected=none, res=none) -%}
    {%- set sql = caller() -%}
    {%- if name is not none -%}
        {{ store_raw_result(name, message=message, code=code, rows_affected=rows_affected, agate_table=res) }}
    {%- endif -%}
{%- endmacro %}

{#- A name in a message: in quotes, on one line, not endlessly long. -#}
{% macro shown(text) -%}
    ('''' || {{ without_controls("left(" ~ text ~ ", 100)") }} || '''')
{%- endmacro %}

{#- Stops the build after a model that lists faults, with the first of them in a sentence. -#}
{% macro stop_on_faults(what) %}
    select {{ fail_with("'" ~ what ~ ": ' || faults.messages") }}
    from (
        select
            {{ joined_texts("case when fault_number <= 5 then coalesce(message, fault) end", "; ", "fault_number") }}
            || case
                when count(*) > 5
                    then '; and ' || (count(*) - 5) || ' more: select * from {{ this.schema }}.{{ this.identifier }}'
                else ''
            end as messages
        from {{ this }}
        having count(*) > 0
    ) as faults
{% endmacro %}

{#- What credits cost the platform at the vendor's price, DECIMAL(38,9), half away from zero beyond: shown, never billed. -#}
{% macro vendor_cost(credits) -%}
    round({{ credits }} * {{ amount_variable("vendor_credit_price") }}, 9)::decimal(38, 9)
{%- endmacro %}
