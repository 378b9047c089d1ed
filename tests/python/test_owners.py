"""Whose usage is, when owners of sandboxes change or come late, through the whole path (rules 9, 25 and 34).

The extractor runs in this process, so that its clock can be set: a change of owner counts from the start of the load
that first showed it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import pipeline
import test_extract_support
from pipeline import query
from simulator.server import Server, serve
from simulator.tenant import Tenant
from test_planted_faults import row

CLOCKS = (
    *("extract.sessions", "extract.paging", "extract.quotas", "extract.documents", "extract.warehouse"),
    "extract.settings",
)

SESSIONS = (
    row("early", "2026-01-10T00:00:00Z", "2026-01-10T01:00:00Z", "50", computer_id="stray"),
    row("of ann", "2026-01-12T00:00:00Z", "2026-01-12T01:00:00Z", "100", computer_id="sold"),
    *(
        row(f"month {month}", f"2026-{month:02d}-15T00:00:00Z", f"2026-{month:02d}-15T01:00:00Z", "900", **fields)
        for fields in ({"external_user_id": "cid"},)
        for month in (1, 2, 3, 4)
    ),
    row("before it is sold", "2026-04-01T05:59:59.999999Z", "2026-04-02T00:00:00Z", "3", computer_id="sold"),
    row("when it is sold", "2026-04-01T06:00:00Z", "2026-04-02T00:00:00Z", "4", computer_id="sold"),
    row("after it is sold", "2026-04-30T23:00:00Z", "2026-05-01T01:00:00Z", "6", computer_id="sold"),
)
"""January's are ann's: `sold` is hers until April, and `stray` is found to be hers in April."""


def sandbox(name: str, owner: str | None) -> str:
    return json.dumps({"id": name, "external_user_id": owner})


def extract(server: Server, warehouse: Path, clock: datetime, first: str, last: str) -> None:
    """Run the extractor at a time, with the vendor's clock at the same."""
    with ExitStack() as stack:
        for module in CLOCKS:
            stack.enter_context(mock.patch(f"{module}.utc_now", return_value=clock))
        test_extract_support.land(
            server, warehouse, first_month=first, last_month=last, window_days=31, look_ahead_days=0
        )


def build(warehouse: Path, close: str) -> None:
    pipeline.build(warehouse, "--exclude-resource-type", "unit_test", variables={"close_period": close})


def lines(warehouse: Path, period: str, *types: str) -> list[tuple[Any, ...]]:
    """A period's lines: user, service period, type, credits, cents."""
    return sorted(
        (
            *(line["external_user_id"], line["service_period"], line["line_type"]),
            *(int(line["quantity_credits"]), line["amount_minor"]),
        )
        for line in query(warehouse, f"select * from marts.fct_invoice_lines where invoice_period = '{period}'")
        if line["line_type"] in types
    )


def credits(warehouse: Path, period: str) -> dict[str, int]:
    """A period's credits by user."""
    rows = query(warehouse, f"select * from marts.fct_user_period_credits where billing_period = '{period}'")
    return {row["external_user_id"]: int(row["credits"]) for row in rows}


def rollups_read(warehouse: Path) -> Sequence[str]:
    """The months whose rollup the newest run read."""
    rows = query(
        warehouse,
        "select strftime(window_start_at_utc, '%Y-%m') as month from raw.loads where resource = 'usage_rollups'"
        " and run_id = (select max_by(run_id, load_id) from raw.loads) order by month",
    )
    return [row["month"] for row in rows]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """January is closed, then February, after `stray` got its first owner and `sold` another one."""
    warehouse = tmp_path_factory.mktemp("owners") / "usage.duckdb"
    now = datetime(2026, 3, 1, 6)
    tenant = Tenant.from_rows(SESSIONS, [sandbox("sold", "ann"), sandbox("stray", None)], now=now.replace(tzinfo=UTC))
    with serve(tenant) as server:
        extract(server, warehouse, now, "2026-01", "2026-02")
        build(warehouse, "2026-01")
        assert credits(warehouse, "2026-01") == {"ann": 100, "cid": 900, "(unattributed)": 50}

        now = datetime(2026, 4, 1, 6)
        tenant.advance(now.replace(tzinfo=UTC))
        tenant.put_sandbox(sandbox("sold", "bea"))
        tenant.put_sandbox(sandbox("stray", "ann"))
        extract(server, warehouse, now, "2026-03", "2026-03")
        assert rollups_read(warehouse) == ["2026-01", "2026-02", "2026-03"], "February's end is in the look-back"

        now = datetime(2026, 5, 1, 6)
        tenant.advance(now.replace(tzinfo=UTC))
        extract(server, warehouse, now, "2026-04", "2026-04")
        build(warehouse, "2026-02")
    return warehouse


def test_rule_25_a_late_first_owner_is_billed_in_the_first_open_period(closed: Path) -> None:
    """The 50 credits of 10 January, known to be ann's in April only, are an adjustment in February."""
    assert lines(closed, "2026-01", "usage", "adjustment") == [
        ("ann", "2026-01", "usage", 100, 100),
        ("cid", "2026-01", "usage", 900, 900),
    ]
    assert lines(closed, "2026-02", "usage", "adjustment") == [
        ("ann", "2026-01", "adjustment", 50, 50),
        ("cid", "2026-02", "usage", 900, 900),
    ]
    assert credits(closed, "2026-01") == {"ann": 150, "cid": 900}


def test_rule_9_another_owner_counts_from_the_start_of_the_load_that_first_showed_it(closed: Path) -> None:
    """What was ann's stays hers; she also keeps what began a microsecond before the load. No closed period moves."""
    assert lines(closed, "2026-04", "usage", "adjustment") == [
        ("ann", "2026-04", "usage", 3, 3),
        ("bea", "2026-04", "usage", 7, 7),
        ("cid", "2026-04", "usage", 900, 900),
    ]
    owners = query(closed, "select * from intermediate.int_sandbox_owners order by sandbox_id, valid_from_utc")
    assert [(row["sandbox_id"], row["external_user_id"], row["valid_to_utc"]) for row in owners] == [
        ("sold", "ann", datetime(2026, 4, 1, 6)),
        ("sold", "bea", None),
        ("stray", "ann", None),
    ]
    statuses = query(closed, "select distinct status from marts.rpt_reconciliation")
    assert statuses == [{"status": "ok"}]
