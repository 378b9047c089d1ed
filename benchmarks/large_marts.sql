-- Fills copies of the marts with one month of many users: a closed month with one invoice per user in one of five currencies, two lines
-- each, a project in twenty, and limits. Every figure follows from the number of the user, so that tests can work them out.
-- Variables: `users` (how many), `period` (the month, which has no rows yet).
insert into marts.dim_billing_periods by name
select
    getvariable('period') as billing_period,
    true as has_ended,
    true as is_complete,
    true as is_closed,
    timestamp '2026-06-02 08:00:00' as closed_at_utc;

create temporary table large_users as
select
    number,
    'large-user-' || number as external_user_id,
    ['EUR', 'USD', 'JPY', 'KWD', 'GBP'][1 + number % 5] as currency,
    [2, 2, 0, 3, 2][1 + number % 5] as currency_exponent,
    (number % 1000)::bigint as amount_minor,
    (number % 1000 + 0.123456789)::decimal(38, 9) as credits,
    'project-' || (number % 20) as external_project_id,
    (getvariable('period') || '-01')::date as month_start
from (select unnest(range(getvariable('users'))) as number);

insert into marts.dim_users by name
select external_user_id, true as is_attributed, 'Large customer ' || number as display_name, 1 as sandbox_count
from large_users;

insert into marts.fct_user_period_credits by name
select
    external_user_id,
    getvariable('period') as billing_period,
    true as is_attributed,
    1 as session_count,
    3600 as usage_seconds,
    credits,
    0::decimal(38, 9) as provisional_credits
from large_users;

insert into marts.fct_user_day_credits by name
select external_user_id, month_start + (number % 28)::int as usage_date, getvariable('period') as billing_period, credits
from large_users;

insert into marts.fct_session_period_credits by name
select
    'large-session-' || number as session_id,
    getvariable('period') as billing_period,
    external_user_id,
    external_project_id,
    3600 as usage_seconds,
    credits
from large_users;

insert into marts.fct_invoices by name
select
    'large-invoice-' || number as invoice_id,
    external_user_id,
    getvariable('period') as invoice_period,
    month_start as invoice_period_start_date,
    currency,
    credits,
    amount_minor,
    (amount_minor::decimal(18, 0) * [1, 0.1, 0.01, 0.001][1 + currency_exponent])::decimal(18, 3) as amount,
    2 as line_count,
    'closed' as status,
    timestamp '2026-06-02 08:00:00' as closed_at_utc,
    false as is_credit
from large_users;

insert into marts.fct_invoice_lines by name
select
    'large-line-' || invoices.invoice_id || '-' || lines.line_type as line_id,
    invoices.invoice_id,
    invoices.external_user_id,
    invoices.invoice_period,
    invoices.invoice_period_start_date,
    invoices.invoice_period as service_period,
    invoices.invoice_period_start_date as service_period_start_date,
    lines.line_type,
    'large' as plan_id,
    date '2026-01-01' as price_valid_from,
    case lines.line_type when 'usage' then 0 end::decimal(18, 9) as tier_from_credits,
    case lines.line_type when 'usage' then invoices.credits else 0 end::decimal(38, 9) as quantity_credits,
    case lines.line_type when 'usage' then 0.015 end::decimal(18, 9) as unit_price,
    case lines.line_type when 'usage' then invoices.amount_minor else 0 end as amount_minor,
    case lines.line_type when 'usage' then invoices.amount else 0 end::decimal(18, 3) as amount,
    invoices.currency,
    users.currency_exponent,
    'closed' as status,
    'The large plan: ' || lines.line_type as description
from marts.fct_invoices as invoices
inner join large_users as users on invoices.external_user_id = users.external_user_id
cross join (select unnest(['fee', 'usage']) as line_type) as lines
where invoices.invoice_period = getvariable('period');

insert into marts.fct_invoice_breakdown by name
select
    lines.line_id,
    case lines.line_type when 'usage' then users.external_project_id end as external_project_id,
    lines.external_user_id,
    lines.invoice_period,
    lines.line_type,
    lines.currency,
    lines.quantity_credits as credits,
    lines.amount
from marts.fct_invoice_lines as lines
inner join large_users as users on lines.external_user_id = users.external_user_id;

insert into marts.rpt_month_over_month by name
select
    external_user_id,
    invoice_period,
    currency,
    status,
    credits,
    0::decimal(38, 9) as previous_credits,
    amount,
    0::decimal(38, 3) as previous_amount,
    amount as amount_difference,
    true as is_new_user,
    false as is_lost_user
from marts.fct_invoices
where invoice_period = getvariable('period');

insert into marts.fct_quota_utilization by name
select
    external_user_id,
    getvariable('period') as billing_period,
    unnest(['credits', 'concurrent', 'sandboxes', 'storage_gb']) as quota,
    1000::decimal(38, 9) as limit_value,
    credits as used_value,
    1000 - credits as headroom_value,
    (number % 1000 * 0.001)::decimal(18, 6) as utilization,
    case when number % 1000 >= 800 then 'warning' else 'ok' end as status,
    false as has_limit_changed
from large_users;

insert into marts.rpt_reconciliation by name
select
    'session_periods_vs_user_days' as check_name,
    getvariable('period') as billing_period,
    external_user_id,
    credits as expected_credits,
    credits as actual_credits,
    0::decimal(38, 9) as difference_credits,
    0::decimal(38, 9) as tolerance_credits,
    'ok' as status
from large_users;
