"""How long `publish invoices` takes per 1,000 documents, on all cores; and again when everything is there.

    .venv/bin/python -m benchmarks.invoices --documents 10000

Makes the marts that the command reads, without the rest of a warehouse: each invoice has four lines and usage on every day of the month.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[1]
PERIOD = "2026-10"
MARTS = """
create schema marts;
create table marts.rpt_builds as
select 'build' as command, 'success' as status, timestamp '2026-11-02 08:00:00' as started_at_utc, 0 as failure_count, true as is_proven,
    0 as newer_load_count, 0 as newer_quota_load_count, true as is_deciding, 'benchmark' as build_id, null::timestamp as ended_at_utc;
create table marts.dim_billing_periods as select '2026-10' as billing_period;
create table marts.dim_issuers as
select 'CIRRUS' as issuer_id, date '2026-01-01' as valid_from, 'Cirrus Sandboxes Ltd' as issuer_name, '5 Weather Row' || chr(10) || 'Dublin 2' as address,
    'Ireland' as country, 'IE1234567X' as tax_id, 'billing@cirrus.example' as email, 'Payable within 30 days.' as payment_terms, 'Registered in Ireland' as footer;
create table marts.dim_customers as
select 'user-' || n as external_user_id, 'Customer ' || n || ' Ünïcode GmbH' as customer_name, 'Street ' || n || chr(10) || '10115 Berlin' as address,
    'Germany' as country, 'DE' || n as tax_id, null::varchar as reference, null::varchar as email
from range({documents}) as numbers (n);
create table marts.fct_invoice_lines as
select
    md5(n || ' ' || line_type) as line_id, md5(n::varchar) as invoice_id, 'user-' || n as external_user_id, '2026-10' as invoice_period,
    case line_type when 'adjustment' then '2026-09' else '2026-10' end as service_period, line_type,
    case when line_type <> 'adjustment' then 'team' end as plan_id, case when line_type <> 'adjustment' then date '2026-01-01' end as price_valid_from,
    case line_type when 'usage' then 0.000000000::decimal(18, 9) end as tier_from_credits,
    case line_type when 'usage' then {days} * 1.25 when 'included' then 100 when 'adjustment' then -1.5 else 0 end::decimal(38, 9) as quantity_credits,
    case line_type when 'usage' then 0.0125 end::decimal(18, 9) as unit_price,
    case line_type when 'fee' then 2000 when 'usage' then {days} when 'adjustment' then -2 else 0 end::bigint as amount_minor,
    (case line_type when 'fee' then 2000 when 'usage' then {days} when 'adjustment' then -2 else 0 end / 100)::decimal(18, 3) as amount,
    'EUR' as currency, 2 as currency_exponent, 'Team EU: ' || line_type as description
from range({documents}) as numbers (n), (values ('fee'), ('included'), ('usage'), ('adjustment')) as kinds (line_type);
create table marts.fct_invoices as
select
    invoice_id, any_value(external_user_id) as external_user_id, '2026-10' as invoice_period, date '2026-10-01' as invoice_period_start_date,
    'EUR' as currency, sum(amount_minor)::bigint as amount_minor, sum(quantity_credits)::decimal(38, 9) as credits, 'closed' as status,
    timestamp '2026-11-02 09:00:00' as closed_at_utc, 'CIRRUS' as issuer_id,
    'CIRRUS-2026-' || lpad(row_number() over (order by invoice_id)::varchar, 6, '0') as document_number
from marts.fct_invoice_lines group by invoice_id;
create table marts.fct_invoice_line_usage as
select
    line_id, external_user_id || '-' || session as session_id, date '2026-10-01' + (session % 31)::integer as usage_date,
    'project ' || session % 5 as external_project_id, 'w' as workspace_id, 'sandbox ' || session % 7 as sandbox_id, 3600 as usage_seconds,
    1.25::decimal(38, 9) as credits, 0.01::decimal(38, 9) as amount, '2026-10' as invoice_period
from marts.fct_invoice_lines, range({days}) as sessions (session)
where line_type = 'usage';
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--sessions", type=int, default=62, help="sessions per invoice")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder) / "usage.duckdb"
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute(MARTS.format(documents=given.documents, days=given.sessions))
        command = [sys.executable, "-m", "publish", "invoices", "--period", PERIOD, "--to", str(Path(folder) / "out")]
        for what in ("first run", "again, nothing to do"):
            start = time.monotonic()
            subprocess.run(command, cwd=ROOT, env=os.environ | {"WAREHOUSE_PATH": str(warehouse)}, check=True)
            seconds = time.monotonic() - start
            print(f"{what}: {seconds:.1f} s, {seconds * 1000 / given.documents:.1f} s per 1,000 documents")


if __name__ == "__main__":
    main()
