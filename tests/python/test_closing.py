"""Closing a period, by the commands that finance runs (rules 23 to 27): what it freezes, refuses and survives.

One tenant is landed once. March 2025, in which nobody owed anything, and April are closed on it, and tests go on from
copies: a whole build costs some twenty seconds, so each carries many assertions. That a kill leaves the period closed
whole or not at all, and what random histories do to the ledger, is shown elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import pipeline
from pipeline import query
from simulator.server import serve
from tenants import Rows, Span
from test_planted_faults import row

Row = dict[str, Any]

LEDGER = ("closed_periods", "closed_invoice_lines", "closed_line_usage", "closed_costs", "stripe_documents")
FROZEN_USAGE = (
    *("line_id", "session_id", "usage_date", "credits"),
    *("amount", "usage_seconds", "sandbox_id", "external_project_id", "workspace_id"),
    *("change_reason", "change_load_id", "change_read_at_utc"),
)

SPAN = Span("2025-03", "2025-06")

TENANT = Rows(
    sessions=(
        # Read by the look-back, with the end of a month of which no more is known.
        row("early", "2025-01-28T00:00:00Z", "2025-01-28T01:00:00Z", "1", external_user_id="ann"),
        row("corrected", "2025-04-10T00:00:00Z", "2025-04-10T01:00:00Z", "12", external_user_id="ann"),
        # 10 of 30 credits in April.
        row("crosses", "2025-04-30T23:00:00Z", "2025-05-01T02:00:00Z", "30", external_user_id="ann"),
        row("half", "2025-05-05T00:00:00Z", "2025-05-05T01:00:00Z", "0.5", external_user_id="ben"),
        row("other", "2025-05-07T00:00:00Z", "2025-05-07T01:00:00Z", "7", external_user_id="0012"),
        row("nobody's", "2025-05-08T00:00:00Z", "2025-05-08T01:00:00Z", "2"),
        row("newest", "2025-06-03T00:00:00Z", "2025-06-03T01:00:00Z", "5", external_user_id="ann"),
    ),
)

SEEDS = {
    "plans": """\
plan_id,plan_name,currency
pay_as_you_go,Pay as you go,USD
tiers,Tiers,EUR
0007,Flat,JPY
""",
    "plan_prices": """\
plan_id,valid_from,valid_to,monthly_fee,included_credits,minimum_charge,tier_model
pay_as_you_go,2025-01-01,,,,,graduated
tiers,2025-01-01,,49,5,,graduated
0007,2025-01-01,,300,,,graduated
""",
    "plan_price_tiers": """\
plan_id,valid_from,tier_from_credits,unit_price
pay_as_you_go,2025-01-01,0,0.01
tiers,2025-01-01,0,0.335
tiers,2025-01-01,10,0.3
0007,2025-01-01,0,1
""",
    "user_plans": """\
external_user_id,plan_id,valid_from,valid_to
ann,tiers,2025-04-01,
0012,0007,2025-05-01,
""",
    "issuer": """\
issuer_id,valid_from,issuer_name,address,country,tax_id,email,payment_terms,footer
OLD-1,0001-01-01,Old Ltd,,,,,,
NEW,2025-05-01,New Ltd,,,,,,
""",
}


# --- A warehouse with plans ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Billing:
    """A warehouse, its plans, and what the marts and the ledger say."""

    warehouse: Path
    output: list[str] = field(default_factory=list)
    """What each command said."""

    @property
    def seeds(self) -> Path:
        return self.warehouse.parent / "seeds"

    @property
    def backup(self) -> Path:
        return self.warehouse.parent / "the ledger's"

    def build(
        self, *arguments: str, close: str = "", first: str = "", fails: bool = False, accepts: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `dbt build`, closing a period where one is named. Unit tests, which read no warehouse, are left out."""
        # Corrections of so few users are large in any case; the brake (rule 36) is tested without `accepts`.
        variables = {"close_period": close, "first_billing_period": first, "accept_large_changes": accepts}
        done = pipeline.build(
            self.warehouse,
            *("--exclude-resource-type", "unit_test"),
            *arguments,
            variables={name: value for name, value in variables.items() if value},
            seeds=self.seeds,
            check=not fails,
        )
        self.output.append(done.stdout)
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def is_refused(self, sentence: str, *arguments: str, close: str, first: str = "", accepts: bool = True) -> str:
        """Run a closing that ends non-zero, says why in a sentence, and leaves the ledger as it was."""
        before = self.ledger()
        done = self.build(*arguments, close=close, first=first, fails=True, accepts=accepts)
        assert done.returncode != 0
        assert f"{close} was not closed: {sentence}" in done.stdout
        assert "is closed:" not in done.stdout
        assert self.ledger() == before
        return done.stdout

    def rows(self, table: str, where: str = "true") -> list[Row]:
        """A table's rows, in an order of their own."""
        return sorted(query(self.warehouse, f"select * from {table} where {where}"), key=repr)

    def ledger(self) -> dict[str, list[Row]]:
        """All that is closed; nothing where there is no ledger yet."""
        found = query(self.warehouse, "select table_name from duckdb_tables() where schema_name = 'ledger'")
        tables = {table["table_name"] for table in found}
        return {name: self.rows(f"ledger.{name}") if name in tables else [] for name in LEDGER}

    def marts(self) -> dict[str, list[Row]]:
        """All marts, but for the one that lists the builds themselves."""
        tables = query(
            self.warehouse,
            "select table_name from information_schema.tables"
            " where table_schema = 'marts' and table_name <> 'rpt_builds'",
        )
        return {table["table_name"]: self.rows(f"marts.{table['table_name']}") for table in tables}

    def deciding_run(self) -> tuple[str, str, bool]:
        """Kind and status of the run that decides, and whether it proves the marts."""
        (run,) = self.rows("marts.rpt_builds", "is_deciding")
        return run["build_kind"], run["status"], run["is_proven"]

    def lines(self, period: str, status: str) -> list[Row]:
        return self.rows("marts.fct_invoice_lines", f"invoice_period = '{period}' and status = '{status}'")

    def pieces(self, lines: Iterable[Row]) -> list[Row]:
        """The usage of lines as the marts show it, in the columns that a close freezes, but for its period."""
        ids = {line["line_id"] for line in lines}
        pieces = [piece for piece in self.rows("marts.fct_invoice_line_usage") if piece["line_id"] in ids]
        return sorted(({name: piece[name] for name in FROZEN_USAGE} for piece in pieces), key=repr)

    def execute(self, *statements: str) -> None:
        with closing(duckdb.connect(str(self.warehouse))) as connection:
            for statement in statements:
                connection.execute(statement)

    def copy(self, directory: Path) -> Billing:
        """The same in another directory, to go on from."""
        shutil.copytree(self.warehouse.parent, directory / "copy")
        return Billing(directory / "copy" / self.warehouse.name)


ONLY_CLOSED = ("fct_stripe_lines", "rpt_stripe_reconciliation", "rpt_receivables")
"""Marts that hold closed invoices alone."""

NUMBERS = ("issuer_id", "document_sequence", "document_number")
"""What a close gives to the lines of an invoice."""

DATES = ("invoice_period_start_date", "service_period_start_date")
"""What a line shows of its periods beside their names; the ledger has the names only."""


def without(rows: Iterable[Row], *columns: str) -> list[Row]:
    """Rows less some columns."""
    return sorted(({name: row[name] for name in row if name not in columns} for row in rows), key=repr)


def told(lines: Iterable[Row]) -> set[tuple[Any, ...]]:
    """Lines as user, type, credits and minor units in a currency."""
    return {
        (line["external_user_id"], line["line_type"], line["quantity_credits"], line["amount_minor"], line["currency"])
        for line in lines
    }


def land(billing: Billing, *, late: bool = False) -> None:
    """Land the tenant; once more with what the vendor corrects and adds later."""
    tenant = TENANT.tenant()
    if late:
        # By so much that the adjustment needs `accept_large_changes` (rule 36).
        tenant.correct_cost("corrected", 60)
        tenant.add_session(row("late", "2025-04-20T00:00:00Z", "2025-04-20T01:00:00Z", "1.5", external_user_id="ben"))
    with serve(tenant) as server:
        pipeline.extract(server.base_url, billing.warehouse, span=SPAN)


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Billing:
    """A warehouse in which nothing was built yet."""
    billing = Billing(tmp_path_factory.mktemp("landed") / "usage.duckdb")
    pipeline.write_seeds(billing.seeds, **SEEDS)
    land(billing)
    return billing


@pytest.fixture(scope="module")
def empty_closed(landed: Billing, tmp_path_factory: pytest.TempPathFactory) -> Billing:
    """The same, built, with March closed, in which nobody owes anything."""
    billing = landed.copy(tmp_path_factory.mktemp("empty_closed"))
    billing.build(close="2025-03", first="2025-03")
    return billing


@pytest.fixture(scope="module")
def closed(empty_closed: Billing, tmp_path_factory: pytest.TempPathFactory) -> Billing:
    """The same with April closed too, by a full refresh."""
    billing = empty_closed.copy(tmp_path_factory.mktemp("closed"))
    billing.build("--full-refresh", close="2025-04")
    return billing


@pytest.fixture(scope="module")
def corrected(closed: Billing, tmp_path_factory: pytest.TempPathFactory) -> Billing:
    """The same once more became known of April, built by a close of May that is refused for the size of that."""
    billing = closed.copy(tmp_path_factory.mktemp("corrected"))
    land(billing, late=True)
    billing.is_refused("adjustments in EUR come to ", close="2025-05", accepts=False)
    return billing


# --- Closing -------------------------------------------------------------------------------------------------------


def test_an_empty_period_closes(empty_closed: Billing) -> None:
    """Rule 23: a period without a line closes too, with nothing in the ledger but its row."""
    ledger = empty_closed.ledger()
    assert (ledger["closed_invoice_lines"], ledger["closed_line_usage"]) == ([], [])
    (period,) = ledger["closed_periods"]
    counts = {period[name] for name in ("invoice_count", "line_count", "usage_row_count", "credits")}
    assert (period["billing_period"], counts, period["amounts_minor"]) == ("2025-03", {0}, "")
    assert "2025-03 is closed: 0 invoices, 0 lines, in minor units nothing" in empty_closed.output[0]
    months = {month["billing_period"]: month for month in empty_closed.rows("marts.dim_billing_periods")}
    assert [name for name, month in months.items() if month["is_closed"]] == ["2025-03"]
    assert months["2025-03"]["closed_at_utc"] == period["closed_at_utc"]


def test_closing_freezes_what_was_shown_and_shows_it_closed(empty_closed: Billing, closed: Billing) -> None:
    """Preview = close: the open lines and pieces of the first open period are those that the ledger holds after."""
    preview = empty_closed.lines("2025-04", "open")
    assert told(preview) == {
        ("ann", "fee", 0, 4900, "EUR"),
        ("ann", "included", 5, 0, "EUR"),
        ("ann", "usage", 10, 335, "EUR"),
        ("ann", "usage", 7, 210, "EUR"),
    }
    ledger = closed.ledger()
    march, april = ledger["closed_periods"]
    assert without(ledger["closed_invoice_lines"], "closed_at_utc", *NUMBERS) == without(
        preview, "status", "closed_at_utc", *DATES, *NUMBERS
    )
    # The issuer in force in April numbers it, by the year of the close. A preview has no number.
    numbers = {tuple(line[name] for name in NUMBERS) for line in ledger["closed_invoice_lines"]}
    assert numbers == {("OLD-1", 1, f"OLD-1-{april['closed_at_utc'].year}-000001")}
    assert {tuple(line[name] for name in NUMBERS) for line in preview} == {(None, None, None)}
    (invoice,) = closed.rows("marts.fct_invoices", "invoice_period = '2025-04'")
    assert {tuple(invoice[name] for name in NUMBERS)} == numbers
    assert without(ledger["closed_line_usage"], "invoice_period") == empty_closed.pieces(preview)
    assert {piece["invoice_period"] for piece in ledger["closed_line_usage"]} == {"2025-04"}
    assert {line["closed_at_utc"] for line in ledger["closed_invoice_lines"]} == {april["closed_at_utc"]}
    figures = ("invoice_count", "line_count", "usage_row_count", "credits", "amounts_minor")
    assert [april[name] for name in figures] == [1, 4, len(ledger["closed_line_usage"]), Decimal(22), "EUR 5445"]
    assert april["checksum"] != march["checksum"]
    newest = query(closed.warehouse, "select max(load_id) as load_id from raw.loads")[0]["load_id"]
    assert april["newest_load_id"] == newest
    # When the command ends, the marts show the period closed.
    assert "2025-04 is closed: 1 invoices, 4 lines, in minor units EUR 5445" in closed.output[0]
    shown = closed.lines("2025-04", "closed")
    assert closed.lines("2025-04", "open") == []
    assert without(shown, "status", *DATES) == ledger["closed_invoice_lines"]
    assert closed.pieces(shown) == without(ledger["closed_line_usage"], "invoice_period")
    assert {row["status"] for row in closed.rows("marts.fct_invoices", "invoice_period = '2025-04'")} == {"closed"}
    # They are described and constrained as after any other build.
    described = closed.rows("duckdb_columns()", "table_name = 'fct_invoices' and schema_name = 'marts'")
    assert all(column["comment"] for column in described)
    nullable = {column["column_name"] for column in described if column["is_nullable"]}
    assert nullable == {"closed_at_utc", "previous_amount", *NUMBERS}
    assert len(closed.rows("marts.dim_billing_periods", "is_closed")) == 2
    assert [row["billing_period"] for row in closed.rows("intermediate.int_billing_periods", "is_first_open")] == [
        "2025-05"
    ]


def test_a_full_refresh_leaves_the_ledger_alone(empty_closed: Billing, closed: Billing) -> None:
    """What was closed before the refresh is there after it, cell by cell; the closing of the refresh came to it."""
    before, after = empty_closed.ledger(), closed.ledger()
    assert after["closed_periods"][: len(before["closed_periods"])] == before["closed_periods"]
    assert all(row in after[table] for table, rows in before.items() for row in rows)


def test_what_comes_to_light_later_is_an_adjustment_and_a_rebuild_from_nothing_agrees(
    closed: Billing, corrected: Billing, tmp_path: Path
) -> None:
    """Rules 25 to 27. What April comes to today, less what it was closed with, is billed with May.

    Nothing closed changes. Then all but raw and the ledger is dropped, and May closed by the build that makes the rest
    anew: the marts are those of before but for what is closed now, and what is closed is what was shown, adjustments
    included.
    """
    assert corrected.ledger() == closed.ledger()
    assert corrected.lines("2025-04", "closed") == closed.lines("2025-04", "closed")
    preview = corrected.lines("2025-05", "open")
    adjustments = [line for line in preview if line["line_type"] == "adjustment"]
    assert told(adjustments) == {
        # 48 credits more at 0.30; 1.5 cents on the default plan, rounded.
        ("ann", "adjustment", 48, 1440, "EUR"),
        ("ben", "adjustment", Decimal("1.5"), 2, "USD"),
    }
    assert {line["service_period"] for line in adjustments} == {"2025-04"}
    pieces = {(piece["session_id"], piece["credits"]) for piece in corrected.pieces(adjustments)}
    # The corrected session comes first, so those after it move up: of "crosses", nothing changes in sum.
    assert pieces == {("corrected", Decimal(48)), ("late", Decimal("1.5"))}
    assert corrected.rows("marts.rpt_price_drift") == []
    rebuilt = corrected.copy(tmp_path)
    schemas = {row["schema_name"] for row in query(rebuilt.warehouse, "select schema_name from duckdb_tables()")}
    rebuilt.execute(*(f"drop schema {schema} cascade" for schema in sorted(schemas - {"raw", "ledger"})))
    rebuilt.build(close="2025-05")
    before, after = corrected.ledger(), rebuilt.ledger()
    frozen = [line for line in after["closed_invoice_lines"] if line["invoice_period"] == "2025-05"]
    assert without(frozen, "closed_at_utc", *NUMBERS) == without(preview, "status", "closed_at_utc", *DATES, *NUMBERS)
    # The issuer of May is another one, with a sequence of its own.
    (closed_at,) = {line["closed_at_utc"] for line in frozen}
    numbers = {line["external_user_id"]: line["document_number"] for line in frozen}
    assert numbers == {user: f"NEW-{closed_at.year}-{n:06d}" for n, user in enumerate(sorted(numbers), 1)}
    held = [piece for piece in after["closed_line_usage"] if piece["invoice_period"] == "2025-05"]
    assert without(held, "invoice_period") == corrected.pieces(preview)
    assert all(row in after[table] for table, rows in before.items() for row in rows)
    told_of_closing = {
        "fct_invoice_lines": ("status", "closed_at_utc", *NUMBERS),
        "fct_invoices": ("status", "closed_at_utc", *NUMBERS),
        "dim_billing_periods": ("is_closed", "closed_at_utc"),
        "billing__line_item_enhanced": ("header_status",),
        **dict.fromkeys(("fct_invoice_line_usage", "fct_invoice_breakdown", "fct_revenue_days"), ("status",)),
        **dict.fromkeys(("rpt_month_over_month", "rpt_revenue_retention", "rpt_adjustment_changes"), ("status",)),
    }
    old, new = corrected.marts(), rebuilt.marts()
    assert old.keys() == new.keys()
    # The review is of the first open month, which is the next one now.
    differing = [
        name
        for name in sorted(old.keys() - {"rpt_close_review", *ONLY_CLOSED})
        if without(new[name], *told_of_closing.get(name, ())) != without(old[name], *told_of_closing.get(name, ()))
    ]
    assert differing == []
    assert {line["status"] for line in rebuilt.lines("2025-05", "closed")} == {"closed"}
    assert rebuilt.lines("2025-05", "open") == []


# --- Refusals ------------------------------------------------------------------------------------------------------


def test_rule_36_a_large_change_does_not_get_into_the_ledger_by_mistake(corrected: Billing) -> None:
    """April was closed with 54.45 EUR, and May would adjust it by 14.40 EUR. With the variable, May closes (above)."""
    (said,) = corrected.output
    assert (
        "2025-05 was not closed: adjustments in EUR come to 14.4; the limit is 20 % of the 54.45 closed so far" in said
    )
    assert "accept_large_changes: true" in said


@pytest.mark.parametrize(
    ("has_closed", "command", "period", "sentence"),
    [
        pytest.param(False, ("build",), "2999-12", "it has not ended yet", id="not ended"),
        pytest.param(False, ("build",), "2025-4", "close_period must be a billing period", id="no period"),
        pytest.param(
            True, ("build",), "2025-06", "periods close in order, and the next one is 2025-05", id="out of order"
        ),
        pytest.param(True, ("build",), "2025-03", "it has been closed already, at 20", id="closed already"),
        pytest.param(True, ("run",), "2025-05", "only dbt build closes a period", id="not a build"),
        pytest.param(
            True,
            ("build", "--select", "stg_billing__plans"),
            "2025-05",
            "a closing builds and tests the whole project: leave out --select",
            id="a part of the project",
        ),
    ],
)
def test_what_can_not_be_closed_is_refused_before_anything_is_built(
    landed: Billing,
    closed: Billing,
    tmp_path: Path,
    *,
    has_closed: bool,
    command: tuple[str, ...],
    period: str,
    sentence: str,
) -> None:
    """Rule 23: a period closes after it ended, in order, once, and only by the command that builds and tests first."""
    billing = (closed if has_closed else landed).copy(tmp_path)
    before = billing.ledger()
    done = pipeline.dbt(billing.warehouse, *command, variables={"close_period": period}, seeds=billing.seeds)
    assert done.returncode != 0
    assert f"{period} was not closed: {sentence}" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert billing.ledger() == before
    built = query(billing.warehouse, "select count(*) as found from duckdb_tables() where schema_name = 'marts'")
    assert (built[0]["found"] > 0) == has_closed


def test_a_period_closes_only_when_everything_reconciles(closed: Billing, tmp_path: Path) -> None:
    """A session that never arrived: the vendor's figures say so, and the period stays open."""
    billing = closed.copy(tmp_path)
    billing.execute("delete from raw.usage_sessions where row_key = 'other'")
    said = billing.is_refused("not everything went well (assert_vendor_figures_reconcile): see above", close="2025-05")
    assert "Failure in test assert_vendor_figures_reconcile" in said
    assert billing.deciding_run() == ("close", "failed", False)


def test_a_period_that_was_not_read_whole_is_not_closed(landed: Billing, tmp_path: Path) -> None:
    """Of January the look-back brought the last days. Without first_billing_period it would be the first to close."""
    billing = landed.copy(tmp_path)
    billing.is_refused(
        "not all of its days have been read since it ended: run python -m extract --from 2025-01", close="2025-01"
    )
    # Everything was built and tested, so the marts are proven.
    assert billing.deciding_run() == ("close", "refused", True)


def test_without_prices_nothing_is_closed_and_header_only_seeds_are_text(closed: Billing, tmp_path: Path) -> None:
    """Rule 18: a day without a price stops the build, naming the user and the day. All files have only their header."""
    billing = closed.copy(tmp_path)
    assert billing.rows("seeds.user_plans")[0] == {
        "external_user_id": "0012",
        "plan_id": "0007",
        "valid_from": "2025-05-01",
        "valid_to": None,
    }
    columns = {name: content.splitlines()[0].split(",") for name, content in SEEDS.items()}
    columns["currencies"] = ["currency", "exponent"]
    for name in ("plan_quotas", "user_quota_overrides", "customers", "stripe_customers", "vendor_prices"):
        columns[name] = (pipeline.ROOT / "seeds" / f"{name}.csv").read_text(encoding="utf-8").strip().split(",")
    pipeline.write_seeds(billing.seeds, **{name: ",".join(names) + "\n" for name, names in columns.items()})
    shown = billing.rows("marts.fct_invoice_lines")
    said = billing.is_refused("not everything went well (", "--full-refresh", close="2025-05")
    assert "user 'ann' has credits on 2025-05-01, a day without a plan, and the default plan 'pay_as_you_go' is" in said
    assert "the exponent of 'EUR' is gone, in closed invoices it is 2" in said
    assert billing.rows("marts.fct_invoice_lines") == shown
    found = query(
        billing.warehouse,
        "select table_name, column_name, data_type from information_schema.columns where table_schema = 'seeds'",
    )
    assert {(cell["table_name"], cell["column_name"]) for cell in found} == {
        (name, column) for name, names in columns.items() for column in names
    }
    assert {cell["data_type"] for cell in found} == {"VARCHAR"}


def _sentences(said: str, start: str) -> set[str]:
    """What follows this start of a message, wherever dbt says it."""
    return {line.split(start)[1] for line in said.splitlines() if start in line}


def test_a_fault_in_the_seeds_stops_the_build_with_one_sentence(closed: Billing, tmp_path: Path) -> None:
    """Rule 18: it names the user, the plan and the day, and nothing is priced."""
    billing = closed.copy(tmp_path)
    user_plans = SEEDS["user_plans"] + "ann,0007,2025-05-10,2025-05-11\n"
    plan_quotas = (pipeline.ROOT / "seeds" / "plan_quotas.csv").read_text(
        encoding="utf-8"
    ) + "gone,2025-05-10,,0.5,,,\n"
    shown = billing.marts()
    pipeline.write_seeds(billing.seeds, **SEEDS | {"user_plans": user_plans, "plan_quotas": plan_quotas})
    done = billing.build("--exclude-resource-type", "test", "unit_test", fails=True)
    assert "plan_quotas.csv, line 2, column max_sandboxes: '0.5' is not a count: a whole number" in done.stdout
    assert billing.marts() == shown
    plan_quotas = plan_quotas.replace("0.5", "5")
    pipeline.write_seeds(billing.seeds, **SEEDS | {"user_plans": user_plans, "plan_quotas": plan_quotas})
    done = billing.build("--exclude-resource-type", "test", "unit_test", fails=True)
    assert done.returncode != 0
    assert _sentences(done.stdout, "nothing can be priced, correct the seeds, then run dbt build: ") == {
        "user_plans.csv: user 'ann' is on two plans on 2025-05-10, '0007' is one of them"
    }
    assert _sentences(done.stdout, "no quotas can be set, correct the seeds, then run dbt build: ") == {
        "plan_quotas.csv: plan 'gone' is not in plans.csv"
    }
    # dbt writes what it ran below target/, by the seed's path: an absolute one must not lead it to the seed itself.
    assert (billing.seeds / "user_plans.csv").read_text(encoding="utf-8") == user_plans
    kept = ("fct_invoice_lines", "fct_invoices", "fct_invoice_line_usage")
    assert {name: billing.marts()[name] for name in kept} == {name: shown[name] for name in kept}


# --- Backup and the way back ---------------------------------------------------------------------------------------


def make(target: str, billing: Billing, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run one of the makefile's commands on a warehouse."""
    return subprocess.run(
        ["make", target, *(f"{name}={value}" for name, value in variables.items())],
        cwd=pipeline.ROOT,
        env={**os.environ, "WAREHOUSE_PATH": str(billing.warehouse), "DBT_TARGET_PATH": str(billing.warehouse.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def is_not_restored(billing: Billing, folder: Path, sentence: str) -> None:
    """Run what `make restore-ledger` runs; it refuses in a sentence, and leaves the ledger as it was."""
    before = billing.ledger()
    done = pipeline.dbt(
        billing.warehouse, "run-operation", "restore_ledger", environment={"LEDGER_FOLDER": str(folder)}
    )
    assert done.returncode != 0
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert billing.ledger() == before


@pytest.fixture(scope="module")
def backed_up(closed: Billing, tmp_path_factory: pytest.TempPathFactory) -> Billing:
    """A copy of the warehouse, with a backup of its ledger beside it."""
    billing = closed.copy(tmp_path_factory.mktemp("backups"))
    done = make("backup-ledger", billing, TO=billing.backup)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 closed periods, the newest 2025-04" in done.stdout
    return billing


@pytest.fixture(scope="module")
def backup(backed_up: Billing) -> Path:
    """The ledger's backup."""
    return backed_up.backup


def test_a_restored_ledger_shows_the_closed_invoices_again_without_raw(
    closed: Billing, backed_up: Billing, backup: Path
) -> None:
    """All of raw is lost; what was invoiced is there again, cell by cell, and is written down as what it was.

    It is restored into the file that the backup was made of, which no other test reads: dbt knows the project there.
    """
    assert {path.name for path in backup.iterdir()} == {f"{name}.parquet" for name in LEDGER}
    assert {path.stat().st_mode & 0o077 for path in (backup, *backup.iterdir())} == {0}
    lost = backed_up
    tables = query(lost.warehouse, "select table_name from duckdb_tables() where schema_name = 'raw'")
    lost.execute(
        "drop schema ledger cascade",
        "drop schema marts cascade",
        *(f"delete from raw.{table['table_name']}" for table in tables),
    )
    done = make("restore-ledger", lost, FROM=backup)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 closed periods restored, the newest 2025-04" in done.stdout
    assert lost.ledger() == closed.ledger()
    restored = "select build_kind, status from builds.history order by build_number desc limit 1"
    assert query(lost.warehouse, restored) == [{"build_kind": "restore_ledger", "status": "success"}]
    lost.build("--exclude-resource-type", "unit_test", "test")
    assert closed.lines("2025-04", "closed") != []
    for period in ("2025-03", "2025-04"):
        assert lost.lines(period, "closed") == closed.lines(period, "closed")
    frozen = closed.lines("2025-04", "closed")
    assert lost.pieces(frozen) == closed.pieces(frozen)


def test_a_backup_is_never_written_over(closed: Billing, backup: Path) -> None:
    before = {path.name: path.read_bytes() for path in backup.iterdir()}
    done = make("backup-ledger", closed, TO=backup)
    assert done.returncode != 0
    assert "is there already; name another folder with TO=" in done.stdout + done.stderr
    assert {path.name: path.read_bytes() for path in backup.iterdir()} == before


def test_a_ledger_is_only_restored_into_an_empty_one(closed: Billing, backup: Path, tmp_path: Path) -> None:
    is_not_restored(closed.copy(tmp_path), backup, "this warehouse has closed periods already, nothing was restored")


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("closed_invoice_lines", "select * replace (amount_minor + 1 as amount_minor) from lines"),
        ("closed_line_usage", "from lines where credits <> (select max(credits) from lines)"),
        ("closed_line_usage", "select * replace (null::decimal(38, 9) as amount) from lines"),
        ("closed_costs", "select * replace (unit_price * 2 as unit_price) from lines"),
        ("closed_periods", "from lines where billing_period <> '2025-04'"),
    ],
    ids=["another amount", "a piece is gone", "shares are gone", "another price", "a period is gone"],
)
def test_a_backup_that_was_tampered_with_is_not_restored(
    landed: Billing, backup: Path, tmp_path: Path, table: str, change: str
) -> None:
    folder = tmp_path / "backup"
    shutil.copytree(backup, folder)
    with closing(duckdb.connect()) as connection:
        connection.execute(f"create table lines as from '{folder / table}.parquet'")
        connection.execute(f"copy ({change}) to '{folder / table}.parquet' (format parquet)")
    is_not_restored(landed.copy(tmp_path), folder, "the backup is not what was closed")
