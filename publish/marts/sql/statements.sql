-- What makes the copy of each mart, from the contract as the warehouse's own catalog has it: names, types, NOT NULL and comments, so
-- that neither dbt nor its manifest is needed. A view has no constraints in the catalog; there the column's description says
-- "Never null". The vendor's rows as they came are left null, as with the variable show_payloads: false; so are customers' addresses.
-- Variable: unproven, why the marts are not proven, or null.
-- Grain: one row per mart.
with

marts as (

    select
        table_name as mart,
        coalesce('NOT PROVEN: ' || getvariable('unproven') || '. ', '') || coalesce(comment, '') as comment
    from duckdb_tables()
    where database_name = 'warehouse' and schema_name = 'marts'
    union all
    select
        view_name as mart,
        coalesce('NOT PROVEN: ' || getvariable('unproven') || '. ', '') || coalesce(comment, '') as comment
    from duckdb_views()
    where database_name = 'warehouse' and schema_name = 'marts'

),

columns as (

    select
        table_name as mart,
        column_index,
        '"' || replace(column_name, '"', '""') || '"' as name,
        data_type,
        -- What only says so must hold, too, where the marts are proven.
        not is_nullable or (getvariable('unproven') is null and regexp_matches(comment, '\b[Nn]ever null([.,;:]|$)')) as is_never_null,
        (
            column_name in ('payload', 'answer')
            or (table_name = 'dim_customers' and column_name not in ('external_user_id', 'customer_name'))
            or (table_name = 'billing__line_item_enhanced' and column_name in ('customer_email', 'customer_country'))
        ) as is_left_out,
        comment
    from duckdb_columns()
    where database_name = 'warehouse' and schema_name = 'marts'

),

described as (

    select
        mart,
        column_index,
        name,
        name || ' ' || data_type || case when is_never_null and not is_left_out then ' not null' else '' end as definition,
        case when is_left_out then 'null' else name end as value,
        case when is_left_out then 'Null in this copy. In the warehouse: ' else '' end || coalesce(comment, '') as comment
    from columns

),

by_mart as (

    select
        mart,
        string_agg(definition, ', ' order by column_index) as definitions,
        string_agg(name, ', ' order by column_index) as names,
        string_agg(value, ', ' order by column_index) as column_values,
        string_agg(
            'comment on column published.marts."' || mart || '".' || name || ' is ''' || replace(comment, '''', '''''') || '''', '; '
            order by column_index
        ) as comments
    from described
    group by mart

)

select
    marts.mart,
    'create table published.marts."' || marts.mart || '" (' || by_mart.definitions || ')' as create_statement,
    'insert into published.marts."' || marts.mart || '" (' || by_mart.names || ') select ' || by_mart.column_values
    || ' from warehouse.marts."' || marts.mart || '" order by all' as fill_statement,
    'comment on table published.marts."' || marts.mart || '" is '''
    || replace(marts.comment, '''', '''''') || '''; ' || by_mart.comments as describe_statement,
    'select count(*) from marts."' || marts.mart || '"' as count_statement,
    'from marts."' || marts.mart || '"' as rows_statement
from marts
inner join by_mart on marts.mart = by_mart.mart
order by marts.mart
