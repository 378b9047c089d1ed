"""The whole path on a simulated API (`make demo`): extract over real HTTP, `dbt build`, and the tables that come out.

Two months are closed; then the vendor corrects a session of the first, and what that does to the invoices is shown.
Leaves `demo.duckdb` in the repository's root, beside a warehouse of the user's own, which it never touches.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from simulator.app import Options
from simulator.generate import generate_tenant
from simulator.server import serve
from simulator.tenant import Tenant

ROOT = Path(__file__).resolve().parents[1]
WAREHOUSE = ROOT / "demo.duckdb"
SEEDS = "simulator/demo_seeds"
MONTHS = ["2026-08", "2026-09", "2026-10"]
FIRST_MONTH, LAST_MONTH = MONTHS[0], MONTHS[-1]
CLOSED = MONTHS[:2]
CORRECTED_USER = "user-0001"

CREDITS_BY_USER = """
select
    external_user_id,
    coalesce(sum(credits) filter (where billing_period = ?), 0),
    coalesce(sum(credits) filter (where billing_period = ?), 0),
    coalesce(sum(credits) filter (where billing_period = ?), 0),
    sum(credits)
from marts.fct_user_period_credits
where billing_period between ? and ?
group by external_user_id
order by sum(credits) desc
limit 12
"""

TOTALS = """
select billing_period, count(*) filter (where is_attributed), sum(session_count), sum(credits), sum(provisional_credits)
from marts.fct_user_period_credits
where billing_period between ? and ?
group by billing_period
order by billing_period
"""

QUOTAS = """
select external_user_id, quota, limit_value, used_value, utilization, status, reached_limit_at_utc
from marts.fct_quota_utilization
where billing_period = ? and quota in ('credits', 'concurrent') and status in ('warning', 'at_limit', 'over_limit')
order by utilization desc nulls last, external_user_id
limit 12
"""

QUOTA_STATES = """
select
    quota,
    count(*) filter (where status = 'no_quota'),
    count(*) filter (where status = 'uncapped'),
    count(*) filter (where status = 'ok'),
    count(*) filter (where status = 'warning'),
    count(*) filter (where status = 'at_limit'),
    count(*) filter (where status = 'over_limit')
from marts.fct_quota_utilization
where billing_period = ?
group by quota
order by quota
"""

INVOICES = """
select
    invoice_period,
    status,
    currency,
    count(*),
    sum(credits),
    sum(amount),
    count(*) filter (where is_credit)
from marts.fct_invoices
group by invoice_period, status, currency
order by invoice_period, currency
"""

LINES = """
select invoice_period, status, line_type, description, quantity_credits, unit_price, amount, currency
from marts.fct_invoice_lines
where external_user_id = ? and invoice_period <= ?
order by
    invoice_period,
    service_period desc,
    list_position(['fee', 'included', 'usage', 'minimum', 'adjustment'], line_type),
    price_valid_from,
    tier_from_credits
"""

LARGEST_SESSION = """
select pieces.session_id, sum(pieces.credits)
from marts.fct_invoice_line_pieces as pieces
inner join marts.fct_invoice_lines as lines on pieces.line_id = lines.line_id
where lines.external_user_id = ? and lines.service_period = ?
group by pieces.session_id
having count(distinct pieces.usage_date) = 1
order by sum(pieces.credits) desc
limit 1
"""

# From an adjustment to the rows it comes from: the line, its pieces, and every version of these sessions in raw.
BEHIND_THE_ADJUSTMENT = """
select
    lines.invoice_period,
    lines.amount,
    pieces.session_id,
    pieces.usage_date,
    pieces.credits,
    versions.load_id,
    versions.payload
from marts.fct_invoice_lines as lines
inner join marts.fct_invoice_line_pieces as pieces on lines.line_id = pieces.line_id
inner join raw.usage_sessions as versions on pieces.session_id = versions.row_key and versions.has_id
where lines.line_type = 'adjustment' and lines.external_user_id = ?
order by pieces.session_id, pieces.usage_date, versions.load_id
"""

RECONCILIATION = """
select
    check_name,
    count(*),
    count(*) filter (where status = 'mismatch'),
    max(abs(difference_credits)),
    max(tolerance_credits)
from marts.rpt_reconciliation
group by check_name
order by check_name
"""

REJECTED = """
select source, reason, count(*), any_value(row_id)
from marts.rpt_rejected_rows
group by source, reason
order by source, reason
"""


def main() -> int:
    """Run the demo; returns the exit status of the first step that fails, or 0."""
    # Wide enough for the tables where the output is no terminal and so tells no width.
    console = Console() if sys.stdout.isatty() else Console(width=120)
    started = time.monotonic()
    for leftover in (WAREHOUSE, WAREHOUSE.with_name("demo.duckdb.wal")):
        leftover.unlink(missing_ok=True)
    options = Options()
    tenant = generate_tenant(months=len(MONTHS), last_month=LAST_MONTH)
    with serve(tenant, options) as server:
        environment = os.environ | {
            "MIOSA_API_KEY": options.api_key,
            "MIOSA_BASE_URL": server.base_url,
            "WAREHOUSE_PATH": str(WAREHOUSE),
            "SEEDS_PATH": SEEDS,
        }
        extract = [sys.executable, "-m", "extract", "--from", FIRST_MONTH, "--to", LAST_MONTH]
        build = [str(Path(sys.executable).with_name("dbt")), "--quiet", "build"]

        def run(title: str, command: list[str]) -> int:
            console.rule(title, align="left")
            status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode  # noqa: S603 - our own
            if status:
                console.print(f"This step failed with exit status {status}: see what it printed above.", style="bold")
            return status

        steps = [(f"Extract from a simulated API, {server.base_url}", extract)]
        for month in CLOSED:
            closing = [*build, "--vars", f'{{close_period: "{month}"}}']
            steps.append((f"Build every model, run every test, close {month} (dbt build --vars ...)", closing))
        for title, command in steps:
            if status := run(title, command):
                return status
        session_id, was, now = _correct_a_session(tenant)
        console.print(
            f"\nThe vendor corrects session {session_id} of {CLOSED[0]}, which is invoiced and closed: "
            f"{_text(was)} credits become {_text(now)}.",
            style="bold",
        )
        for title, command in [("Extract again: one row has changed", extract), ("Build again (dbt build)", build)]:
            if status := run(title, command):
                return status
    with duckdb.connect(WAREHOUSE, read_only=True) as connection:
        _show(console, connection)
    console.print(f"\nDone in {time.monotonic() - started:.0f} s. Where to go next:\n", style="bold")
    for suggestion, what in [
        (f"export WAREHOUSE_PATH=demo.duckdb SEEDS_PATH={SEEDS}", "what dbt works on from here"),
        (".venv/bin/dbt build", "build it again: nothing changes"),
        (f".venv/bin/dbt build --vars '{{close_period: \"{LAST_MONTH}\"}}'", f"close {LAST_MONTH}, adjustment and all"),
        (".venv/bin/dbt show -s fct_invoices", "look at a mart"),
        (
            ".venv/bin/python -c \"import duckdb; duckdb.connect('demo.duckdb', read_only=True)"
            ".sql('from marts.rpt_rejected_rows').show()\"",
            "query it by hand",
        ),
        ("make docs", "a site that says what each column means"),
        ("make test", "see all of it proven"),
    ]:
        console.print(f"  {suggestion}", highlight=False, soft_wrap=True)
        console.print(f"      {what}", style="dim", highlight=False)
    console.print("\nThe month end against the real API, and seven finance questions with their SQL: README.md")
    return 0


def _correct_a_session(tenant: Tenant) -> tuple[str, Decimal, Decimal]:
    """Let the vendor take back half of the user's dearest session in the first closed month."""
    with duckdb.connect(WAREHOUSE, read_only=True) as connection:
        found = connection.execute(LARGEST_SESSION, [CORRECTED_USER, CLOSED[0]]).fetchone()
    if found is None:
        raise LookupError(f"{CORRECTED_USER} has no session in {CLOSED[0]}")
    session_id, was = found
    now = (was / 2).quantize(Decimal("0.01"))
    tenant.correct_cost(session_id, now)
    return session_id, was, now


def _show_invoices(console: Console, connection: duckdb.DuckDBPyConnection) -> None:
    """Print the invoices, those of the corrected user in full, and what stands behind the adjustment."""
    _table(
        console,
        "Invoices (closed ones are in the ledger, and never change)",
        ["period", "status", "currency", "invoices", "credits", "amount", "credit notes"],
        connection.execute(INVOICES).fetchall(),
    )
    _table(
        console,
        f"The invoices of {CORRECTED_USER}: {CLOSED[0]} stays as it was, the correction is on the next open one",
        ["invoice", "status", "type", "description", "credits", "a credit", "amount", "currency"],
        connection.execute(LINES, [CORRECTED_USER, LAST_MONTH]).fetchall(),
    )
    _table(
        console,
        "Behind the adjustment: the session, and both rows that the vendor sent of it",
        ["invoice", "amount", "session", "day", "credits", "load", "the vendor's row"],
        connection.execute(BEHIND_THE_ADJUSTMENT, [CORRECTED_USER]).fetchall(),
    )


def _show(console: Console, connection: duckdb.DuckDBPyConnection) -> None:
    """Print the tables of the marts that a person would look at first."""
    months = [FIRST_MONTH, LAST_MONTH]
    _table(
        console,
        "Credits by user and billing period (the twelve largest; shown to 2 decimals, kept to 9)",
        ["user", *MONTHS, "total"],
        connection.execute(CREDITS_BY_USER, [*MONTHS, *months]).fetchall(),
    )
    _table(
        console,
        "Totals of each billing period",
        ["period", "users", "session parts", "credits", "of which provisional"],
        connection.execute(TOTALS, months).fetchall(),
    )
    _table(
        console,
        f"Users close to or over a limit in {LAST_MONTH} (twelve of them)",
        ["user", "quota", "limit", "used", "utilization", "status", "reached (UTC)"],
        connection.execute(QUOTAS, [LAST_MONTH]).fetchall(),
    )
    _table(
        console,
        f"Quota states in {LAST_MONTH} (users)",
        ["quota", "no quota", "uncapped", "ok", "warning", "at limit", "over limit"],
        connection.execute(QUOTA_STATES, [LAST_MONTH]).fetchall(),
    )
    _table(
        console,
        "Rows that could not be used: kept, reported, never billed",
        ["source", "reason", "rows", "for example"],
        connection.execute(REJECTED).fetchall(),
    )
    _table(
        console,
        "Reconciliation: does it all add up?",
        ["check", "compared", "mismatches", "largest difference", "tolerance"],
        connection.execute(RECONCILIATION).fetchall(),
    )
    _show_invoices(console, connection)


def _table(console: Console, title: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Print rows as a table: figures to the right, ids as they are."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="")
    for index, column in enumerate(columns):
        is_figure = any(isinstance(row[index], int | Decimal) for row in rows)
        table.add_column(column, justify="right" if is_figure else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(value) for value in row))
    console.print()
    console.print(table, markup=False)


def _text(value: Any) -> str:
    """A cell's text, for people: two decimals (nine where the figure is smaller), whole seconds, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return f"{value:,.0f}"
        return f"{value:,.2f}" if abs(value) >= Decimal("0.01") else f"{value:,.9f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
