"""A warehouse, a Parquet folder and a ledger backup of the version before open with today's code.

The files were made by an earlier commit (`fixtures/README.md`), so what they hold does not depend on today's code.
"""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline import query
from simulator.server import serve
from test_closing import SPAN, TENANT

FILES = Path(__file__).parent / "fixtures" / "version_before.tgz"
LEDGER = ("closed_periods", "closed_invoice_lines", "closed_line_usage")
OLDER_NAMES = {"closed_line_usage": "closed_line_pieces", "usage_row_count": "piece_count"}
LATER_COLUMNS = {
    "closed_periods": ("cost_row_count", "cost_credits", "cost_checksum"),
    "closed_invoice_lines": ("service_day_mask",),
    "closed_line_usage": ("amount", "usage_seconds", "sandbox_id", "external_project_id", "workspace_id"),
}
"""What the version before did not keep: null in what it closed."""
OLDER_NAMES_BACK = {older: name for name, older in OLDER_NAMES.items()}


@dataclass(frozen=True)
class Left:
    """What the version before left, unpacked."""

    folder: Path

    @property
    def warehouse(self) -> Path:
        return self.folder / "usage.duckdb"

    @property
    def seeds(self) -> Path:
        return self.folder / "seeds"

    def backed_up(self, table: str) -> list[dict[str, Any]]:
        """The rows of a ledger table as the version before backed them up, with today's names and columns."""
        file = f"{self.folder}/ledger/{OLDER_NAMES.get(table, table)}.parquet"
        rows = query(self.warehouse, f"from read_parquet('{file}')")
        later = dict.fromkeys(LATER_COLUMNS.get(table, ()))
        return sorted(({OLDER_NAMES_BACK.get(name, name): row[name] for name in row} | later for row in rows), key=repr)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """The files of the version before, after a build by today's code."""
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(FILES) as archive:
        archive.extractall(folder, filter="data")
    left = Left(folder)
    # What the changelog asks of those who have a folder of seeds of their own.
    shutil.copy(pipeline.ROOT / "seeds" / "customers.csv", left.seeds)
    pipeline.build(left.warehouse, seeds=left.seeds)
    return left


@pytest.mark.parametrize("table", LEDGER)
def test_closed_periods_are_what_they_were(left: Left, table: str) -> None:
    rows = sorted(query(left.warehouse, f"from ledger.{table}"), key=repr)
    assert rows == left.backed_up(table)
    assert rows


def test_closed_lines_are_shown_as_they_were_closed(left: Left) -> None:
    columns = "line_id, invoice_id, quantity_credits, amount_minor, amount, currency, description, closed_at_utc"
    shown = query(left.warehouse, f"select {columns} from marts.fct_invoice_lines where status = 'closed' order by all")
    closed = query(left.warehouse, f"select {columns} from ledger.closed_invoice_lines order by all")
    assert shown == closed
    adjustments = query(
        left.warehouse, "from marts.fct_invoice_lines where status = 'open' and line_type = 'adjustment'"
    )
    assert not adjustments


def test_usage_closed_without_shares_has_shares_that_sum_to_its_lines(left: Left) -> None:
    """Rule 39: they are worked out from the ledger. What it lacks is null, and a line's breakdown is one row."""
    sums = (
        "select line_id, sum(amount) as amount, count(usage_seconds) as seconds, count(sandbox_id) as sandboxes"
        " from marts.fct_invoice_line_usage where status = 'closed' group by line_id"
    )
    lines = query(left.warehouse, f"from marts.fct_invoice_lines semi join ({sums}) using (line_id) order by line_id")
    shown = query(left.warehouse, f"{sums} order by line_id")
    assert [(row["line_id"], row["amount"], 0, 0) for row in lines] == [tuple(row.values()) for row in shown]
    assert any(row["amount"] for row in shown)
    breakdown = query(left.warehouse, "from marts.fct_invoice_breakdown where status = 'closed' order by line_id")
    assert [row["amount_minor"] for row in breakdown] == [
        row["amount_minor"]
        for row in query(left.warehouse, "from marts.fct_invoice_lines where status = 'closed' order by line_id")
    ]


def test_an_account_that_was_never_read_is_named(left: Left) -> None:
    unread = query(left.warehouse, "select distinct reason, tried_at_utc from marts.rpt_unavailable_sources")
    assert unread == [{"reason": "never_read", "tried_at_utc": None}]
    assert query(left.warehouse, "select distinct outcome from raw.loads") == [{"outcome": "complete"}]
    assert not query(left.warehouse, "from marts.rpt_vendor_balance")


def test_the_extractor_goes_on_with_the_warehouse_and_its_parquet_folder(left: Left) -> None:
    before = query(left.warehouse, "select count(*) as sessions, max(load_id) as newest from raw.usage_sessions")[0]
    tenant = TENANT.tenant()
    tenant.correct_cost("corrected", 14)
    with serve(tenant) as server:
        pipeline.extract(
            server.base_url, left.warehouse, "--window-days", "31", "--parquet", str(left.folder / "parquet"), span=SPAN
        )
    after = query(left.warehouse, "select count(*) as sessions from raw.usage_sessions")[0]
    # The session that came late is not listed any more: one void, and nothing else is new.
    assert after["sessions"] == before["sessions"] + 1
    assert query(
        left.warehouse,
        f"from read_parquet('{left.folder}/parquet/loads/**/*.parquet') where load_id > {before['newest']}",
    )


def test_a_backup_of_the_ledger_can_be_restored(left: Left, tmp_path: Path) -> None:
    warehouse = tmp_path / "usage.duckdb"
    with serve(TENANT.tenant()) as server:
        pipeline.extract(server.base_url, warehouse, "--window-days", "31", span=SPAN)
    done = pipeline.dbt(
        warehouse, "run-operation", "restore_ledger", environment={"LEDGER_FOLDER": str(left.folder / "ledger")}
    )
    assert done.returncode == 0, done.stdout
    assert "3 closed periods restored" in done.stdout
    for table in LEDGER:
        assert sorted(query(warehouse, f"from ledger.{table}"), key=repr) == left.backed_up(table)
