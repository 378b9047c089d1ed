"""The whole path on a simulated API (`make demo`): extract over real HTTP, `dbt build`, and the tables that come out.

Of the last three whole months two are closed; then the vendor corrects a session of the first, and what that does to
the invoices is shown. In the month that runs, a user close to his limits upgrades, the quota is set at the API, and his
alerts are gone. That month is the real one because a limit counts from when it was first seen: a month that has ended
keeps the one it had.
At the end, the second closed month is charged at a stand-in for Stripe, and read back.
Leaves `demo.duckdb` in the repository's root, beside a warehouse of the user's own, which it never touches.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from simulator.app import Options
from simulator.generate import generate_tenant
from simulator.server import serve
from simulator.stripe.app import TEST_KEY, serve_stripe
from simulator.tenant import Tenant

ROOT = Path(__file__).resolve().parents[1]
WAREHOUSE = ROOT / "demo.duckdb"
REPORTS = ROOT / "published"
SEEDS = "target/demo_seeds"
"""A copy of the demo's seeds, with its months in place of those that are typed there."""

NOW = datetime.now(UTC).replace(microsecond=0)


def _months(count: int) -> list[str]:
    """The last whole months before now, oldest first."""
    found: list[str] = []
    day = NOW.replace(day=1)
    while len(found) < count:
        day = (day - timedelta(days=1)).replace(day=1)
        found.insert(0, f"{day:%Y-%m}")
    return found


MONTHS = _months(3)
TYPED_MONTHS = ["2026-08", "2026-09", "2026-10"]
"""The months that stand in the seeds."""

THIS_MONTH = f"{NOW:%Y-%m}"
FIRST_MONTH, LAST_MONTH = MONTHS[0], MONTHS[-1]
CLOSED = MONTHS[:2]
CORRECTED_USER = "user-0001"
UPGRADED_USER = "user-0004"
LIMITS_OF_PLAN = {
    "starter": {"max_sandboxes": 20, "max_concurrent": 2, "max_credit_cents": 100},
    "team": {"max_sandboxes": 50, "max_concurrent": 10, "max_credit_cents": 1000},
    "team_eu": {"max_sandboxes": 50, "max_concurrent": 10, "max_credit_cents": 1000},
}
"""As in the seeds: what the vendor has when the demo begins."""

PLAN_OF_USER = {"user-0001": "team", "user-0002": "team", "user-0003": "team_eu", UPGRADED_USER: "starter"}

ALERTS = """
select
    quota,
    threshold_percent,
    limit_value,
    used_value,
    crossed_at_utc,
    current_plan_id,
    current_amount,
    upgrade_plan_id,
    upgrade_amount,
    upgrade_currency
from marts.rpt_quota_alerts
where external_user_id = ? and billing_period = ? and is_highest
order by quota
"""

EFFECTIVE_LIMITS = """
select quota, version_number, limit_value, seen_from_at_utc, is_current, wanted_limit_value, wanted_plan_id, is_drifted
from marts.dim_quota_limits
where external_user_id = ?
order by quota, version_number
"""

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
select
    invoice_period,
    status,
    line_type,
    description,
    quantity_credits,
    -- As text, so that no decimal of a price is rounded away.
    trim(trailing '.' from trim(trailing '0' from unit_price::varchar)),
    amount,
    currency
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
select line_usage.session_id, sum(line_usage.credits)
from marts.fct_invoice_line_usage as line_usage
inner join marts.fct_invoice_lines as lines on line_usage.line_id = lines.line_id
where lines.external_user_id = ? and lines.service_period = ?
group by line_usage.session_id
having count(distinct line_usage.usage_date) = 1
order by sum(line_usage.credits) desc
limit 1
"""

# From an adjustment to the rows it comes from: the line, its usage, and every version of these sessions in raw.
BEHIND_THE_ADJUSTMENT = """
select
    lines.invoice_period,
    lines.amount,
    line_usage.session_id,
    line_usage.usage_date,
    line_usage.credits,
    versions.load_id,
    versions.payload
from marts.fct_invoice_lines as lines
inner join marts.fct_invoice_line_usage as line_usage on lines.line_id = line_usage.line_id
inner join raw.usage_sessions as versions on line_usage.session_id = versions.row_key and versions.has_id
where lines.line_type = 'adjustment' and lines.external_user_id = ?
order by line_usage.session_id, line_usage.usage_date, versions.load_id
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

VENDOR_INVOICES = """
select
    invoice_number,
    period_start_at_utc,
    period_end_at_utc,
    invoice_status,
    vendor_credits,
    our_credits,
    difference_credits,
    status
from marts.rpt_vendor_invoices
order by period_start_at_utc nulls last, invoice_number
"""

RUNWAY = """
select as_of_at_utc, balance_credits, last_7_days_credits, days_left, ends_on_date, expires_at_utc, expiring_credits,
    unused_credits
from marts.rpt_platform_runway
order by expires_at_utc
"""

CHARGED = """
select
    external_user_id,
    currency,
    expected_amount,
    actual_amount,
    stripe_id,
    stripe_status,
    status
from marts.rpt_stripe_reconciliation
where invoice_period = ?
order by external_user_id, currency
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
    tenant = generate_tenant(months=len(MONTHS), last_month=LAST_MONTH, now=NOW)
    _use_quotas(tenant)
    _copy_seeds()
    with serve(tenant, options) as server:
        environment = os.environ | {
            "MIOSA_API_KEY": options.api_key,
            "MIOSA_BASE_URL": server.base_url,
            "WAREHOUSE_PATH": str(WAREHOUSE),
            "SEEDS_PATH": SEEDS,
        }
        extract = [sys.executable, "-m", "extract", "--from", FIRST_MONTH, "--to", THIS_MONTH]
        build = [str(Path(sys.executable).with_name("dbt")), "--quiet", "build"]

        def run(title: str, command: list[str], expected: int = 0) -> int:
            console.rule(title, align="left")
            status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode  # noqa: S603 - our own
            if status == expected:
                return 0
            console.print(f"This step failed with exit status {status}: see what it printed above.", style="bold")
            return status or 1

        steps = [(f"Extract from a simulated API, {server.base_url}", extract)]
        for month in CLOSED:
            closing = [*build, "--vars", f'{{close_period: "{month}"}}']
            steps.append((f"Build every model, run every data test, close {month} (dbt build --vars ...)", closing))
        for title, command in steps:
            if status := run(title, command):
                return status
        session_id, was, now = _correct_a_session(tenant)
        console.print(
            f"\nThe vendor corrects session {session_id} of {CLOSED[0]}, which is invoiced and closed: "
            f"{_text(was)} credits become {_text(now)}.",
            style="bold",
        )
        _show_alerts(console, f"{UPGRADED_USER} is close to limits in {THIS_MONTH}, and this plan would help")
        console.print(f"\n{UPGRADED_USER} goes from starter to team today (user_plans.csv).", style="bold")
        _upgrade()
        publish = [sys.executable, "-m", "publish", "quotas"]
        report = [sys.executable, "-m", "publish", "report", "--period", CLOSED[-1], "--to", str(REPORTS)]
        for title, command, expected in [
            ("Extract again: one row has changed", extract, 0),
            ("Build again (dbt build)", build, 0),
            ("Limits at the vendor that differ from the desired ones (publish quotas diff)", [*publish, "diff"], 3),
            ("Set the desired limits (publish quotas apply)", [*publish, "apply", "--yes"], 0),
            ("Build again, with the limits that were read back (dbt build)", build, 0),
            (f"A page about {CLOSED[-1]} (publish report)", report, 0),
        ]:
            if status := run(title, command, expected):
                return status
    _show_alerts(console, f"The alerts of {UPGRADED_USER} after that: none")
    with duckdb.connect(WAREHOUSE, read_only=True) as connection:
        _show(console, connection)
    charge = [sys.executable, "-m", "publish", "stripe", "--period", CLOSED[-1]]
    with serve_stripe() as stripe:
        environment |= {"STRIPE_API_KEY": TEST_KEY, "STRIPE_API_BASE": stripe.base}
        for title, command, expected in [
            (f"What would be charged for {CLOSED[-1]} (publish stripe)", charge, 3),
            (
                "Charge it at a stand-in for Stripe (publish stripe --send --finalize)",
                [*charge, "--send", "--finalize", "--create-customers"],
                0,
            ),
        ]:
            if status := run(title, command, expected):
                return status
    with duckdb.connect(WAREHOUSE, read_only=True) as connection:
        _table(
            console,
            f"The invoices of {CLOSED[-1]} at Stripe, read back (amounts in minor units)",
            ["user", "currency", "ours", "Stripe's", "id", "it is", "status"],
            connection.execute(CHARGED, [CLOSED[-1]]).fetchall(),
        )
    console.print(f"\nDone in {time.monotonic() - started:.0f} s. Where to go next:\n", style="bold")
    for suggestion, what in [
        (f"export WAREHOUSE_PATH=demo.duckdb SEEDS_PATH={SEEDS}", "what dbt works on from here"),
        (".venv/bin/dbt build", "build it again: nothing changes"),
        (f".venv/bin/dbt build --vars '{{close_period: \"{LAST_MONTH}\"}}'", f"close {LAST_MONTH}, adjustment and all"),
        (
            '.venv/bin/dbt show --inline "select external_user_id, invoice_period, amount, currency, status'
            " from {{ ref('fct_invoices') }}\"",
            "look at a mart",
        ),
        (
            ".venv/bin/python -c \"import duckdb; duckdb.connect('demo.duckdb', read_only=True)"
            ".sql('from marts.rpt_rejected_rows').show()\"",
            "query it by hand",
        ),
        (f".venv/bin/python -m publish invoices --period {CLOSED[1]}", "a PDF and a CSV of each invoice, in published"),
        (".venv/bin/python -m publish marts", "a copy for dashboards and notebooks: published/marts.duckdb"),
        (f".venv/bin/python -m publish excel --period {CLOSED[-1]}", "the same month as a workbook, in published"),
        ("make docs", "a site that says what each column means"),
        ("make test", "see all of it proven"),
    ]:
        console.print(f"  {suggestion}", highlight=False, soft_wrap=True)
        console.print(f"      {what}", style="dim", highlight=False)
    console.print(
        "\nThe month end against the real API: README.md. Twelve questions of finance with their SQL: docs/finance.md"
    )
    console.print(f"The report of {CLOSED[-1]}, for a browser: {REPORTS / f'report-{CLOSED[-1]}.html'}", soft_wrap=True)
    return 0


def _use_quotas(tenant: Tenant) -> None:
    """Give the users on plans the limits of their plans, and let one come close to his in the month that runs."""
    for user, plan in PLAN_OF_USER.items():
        tenant.put_quota(user, {**LIMITS_OF_PLAN[plan], "max_storage_gb": None})
    month_start = NOW.replace(day=1, hour=0, minute=0, second=0)
    end = max(NOW - timedelta(minutes=1), month_start + timedelta(seconds=1))
    start = max(end - timedelta(hours=1), month_start)
    for number in (1, 2):
        tenant.add_session(
            json.dumps(
                {
                    "id": f"ses_upgrade_{number}",
                    "computer_id": f"sbx-{UPGRADED_USER}-1",
                    "external_user_id": UPGRADED_USER,
                    "started_at": f"{start:%Y-%m-%dT%H:%M:%SZ}",
                    "ended_at": f"{end:%Y-%m-%dT%H:%M:%SZ}",
                    "duration_sec": int((end - start).total_seconds()),
                    "credit_cost": 45,
                }
            )
        )


def _copy_seeds() -> None:
    """Copy the demo's seeds, with its months in place of those that are typed there."""
    shutil.rmtree(ROOT / SEEDS, ignore_errors=True)
    shutil.copytree(ROOT / "simulator" / "demo_seeds", ROOT / SEEDS)
    for path in (ROOT / SEEDS).glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        # In brackets first: a month that was put in place must not be taken for one that is typed.
        for typed, month in zip(TYPED_MONTHS, MONTHS, strict=True):
            text = text.replace(f"{typed}-", f"<{month}>-")
        path.write_text(text.replace("<", "").replace(">", ""), encoding="utf-8")


def _upgrade() -> None:
    """Move the user to the bigger plan from today on."""
    path = ROOT / SEEDS / "user_plans.csv"
    text = path.read_text(encoding="utf-8")
    on_starter = f"{UPGRADED_USER},starter,{FIRST_MONTH}-01,"
    if on_starter not in text:
        raise LookupError(f"{path} does not have {UPGRADED_USER} on starter")
    today = f"{NOW:%Y-%m-%d}"
    path.write_text(text.replace(on_starter, f"{on_starter}{today}\n{UPGRADED_USER},team,{today},"), encoding="utf-8")


def _show_alerts(console: Console, title: str) -> None:
    """Print the user's alerts of the month that runs, and the limits behind them."""
    with duckdb.connect(WAREHOUSE, read_only=True) as connection:
        alerts = connection.execute(ALERTS, [UPGRADED_USER, THIS_MONTH]).fetchall()
        limits = connection.execute(EFFECTIVE_LIMITS, [UPGRADED_USER]).fetchall()
    _table(
        console,
        title,
        ["quota", "reached %", "limit", "used", "when (UTC)", "plan", "costs", "upgrade", "would cost", "currency"],
        alerts,
    )
    _table(
        console,
        f"The limits of {UPGRADED_USER}: effective ones by when they were seen, and the desired ones today",
        ["quota", "version", "limit", "seen (UTC)", "current", "desired", "plan", "drifted"],
        limits,
    )


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
        ["invoice", "status", "type", "description", "credits", "per credit", "amount", "currency"],
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
    _table(
        console,
        "The vendor's invoices to us, beside our credits in exactly their periods (1 credit is 1 US cent)",
        ["number", "from (UTC)", "to (UTC)", "it is", "vendor's", "ours", "difference", "status"],
        connection.execute(VENDOR_INVOICES).fetchall(),
    )
    _table(
        console,
        "Our balance at the vendor: how long it lasts, and what will expire unused",
        ["as of (UTC)", "balance", "last 7 days", "days left", "ends on", "expire (UTC)", "credits", "of these unused"],
        connection.execute(RUNWAY).fetchall(),
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
