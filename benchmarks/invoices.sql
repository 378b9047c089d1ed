-- The marts that `publish invoices` reads, for a benchmark: variables say how many invoices, and how many sessions each.
create schema marts;

create table marts.rpt_builds as
select
    'build' as command,
    'success' as status,
    timestamp '2026-11-02 08:00:00' as started_at_utc,
    0 as failure_count,
    true as is_proven,
    0 as newer_load_count,
    0 as newer_quota_load_count,
    true as is_deciding,
    'benchmark' as build_id,
    null::timestamp as ended_at_utc;

create table marts.dim_billing_periods as
select '2026-10' as billing_period;

create table marts.dim_issuers as
select
    'CIRRUS' as issuer_id,
    date '2026-01-01' as valid_from,
    'Cirrus Sandboxes Ltd' as issuer_name,
    '5 Weather Row' || chr(10) || 'Dublin 2' as address,
    'Ireland' as country,
    'IE1234567X' as tax_id,
    'billing@cirrus.example' as email,
    'Payable within 30 days.' as payment_terms,
    'Registered in Ireland' as footer;

create table marts.dim_customers as
select
    'user-' || numbers.n as external_user_id,
    'Customer ' || numbers.n || ' Ünïcode GmbH' as customer_name,
    'Street ' || numbers.n || chr(10) || '10115 Berlin' as address,
    'Germany' as country,
    'DE' || numbers.n as tax_id,
    null::varchar as reference,
    null::varchar as email
from range(getvariable('documents')) as numbers (n);

create table marts.fct_invoice_lines as
select
    md5(numbers.n || ' ' || kinds.line_type) as line_id,
    md5(numbers.n::varchar) as invoice_id,
    'user-' || numbers.n as external_user_id,
    '2026-10' as invoice_period,
    case kinds.line_type when 'adjustment' then '2026-09' else '2026-10' end as service_period,
    kinds.line_type,
    case when kinds.line_type <> 'adjustment' then 'team' end as plan_id,
    case when kinds.line_type <> 'adjustment' then date '2026-01-01' end as price_valid_from,
    case kinds.line_type when 'usage' then 0::decimal(18, 9) end as tier_from_credits,
    kinds.quantity_credits::decimal(38, 9) as quantity_credits,
    case kinds.line_type when 'usage' then 0.0125::decimal(18, 9) end as unit_price,
    kinds.amount_minor::bigint as amount_minor,
    (kinds.amount_minor * 0.01)::decimal(18, 3) as amount,
    'EUR' as currency,
    2 as currency_exponent,
    'Team EU: ' || kinds.line_type as description
from range(getvariable('documents')) as numbers (n)
cross join (
    values
    ('fee', 0, 2000),
    ('included', 100, 0),
    ('usage', getvariable('sessions') * 1.25, getvariable('sessions')),
    ('adjustment', -1.5, -2)
) as kinds (line_type, quantity_credits, amount_minor);

create table marts.fct_invoices as
select
    lines.invoice_id,
    any_value(lines.external_user_id) as external_user_id,
    '2026-10' as invoice_period,
    date '2026-10-01' as invoice_period_start_date,
    'EUR' as currency,
    sum(lines.amount_minor)::bigint as amount_minor,
    sum(lines.quantity_credits)::decimal(38, 9) as credits,
    'closed' as status,
    timestamp '2026-11-02 09:00:00' as closed_at_utc,
    'CIRRUS' as issuer_id,
    'CIRRUS-2026-' || lpad(row_number() over (order by lines.invoice_id)::varchar, 6, '0') as document_number
from marts.fct_invoice_lines as lines
group by lines.invoice_id;

create table marts.fct_invoice_line_usage as
select
    lines.line_id,
    lines.external_user_id || '-' || sessions.n as session_id,
    date '2026-10-01' + (sessions.n % 31)::integer as usage_date,
    'project ' || sessions.n % 5 as external_project_id,
    'w' as workspace_id,
    'sandbox ' || sessions.n % 7 as sandbox_id,
    3600 as usage_seconds,
    1.25::decimal(38, 9) as credits,
    0.01::decimal(38, 9) as amount,
    '2026-10' as invoice_period
from marts.fct_invoice_lines as lines
cross join range(getvariable('sessions')) as sessions (n)
where lines.line_type = 'usage';
