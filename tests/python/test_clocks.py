"""Sessions with times that cannot be, and one that reaches into a month that has not begun (rule 37).

The extractor runs in this process, so that its clock can be set.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline import differing_tables, query
from simulator.app import Options
from simulator.server import serve
from simulator.tenant import Tenant
from test_owners import credits, extract
from test_planted_faults import row

WITHOUT_TESTS = ("--exclude-resource-type", "test", "unit_test")
BEFORE, AFTER = datetime(2026, 10, 31, 23), datetime(2026, 11, 2, 6)
"""An hour before October ends, and in November."""

SESSIONS = (
    row("noise", "2026-10-05T00:00:00Z", "2026-10-05T01:00:00Z", "0.30000000000000004", external_user_id="ann"),
    row("crosses", "2026-10-31T12:00:00Z", "2026-11-01T12:00:00Z", "24", external_user_id="ann", computer_id="a1"),
    row("a day ahead", "2026-10-31T23:00:00Z", "2026-11-01T23:00:00Z", "1", external_user_id="bea"),
    row("ends in 2099", "2026-10-07T00:00:00Z", "2099-01-01T00:00:00Z", "1000", external_user_id="ann"),
    row("runs for ages", "2026-10-07T00:00:00Z", None, "1000", external_user_id="ann", duration_sec="3e9"),
    row("starts in 1970", "1970-01-01T00:00:00Z", "2026-10-09T00:00:00Z", "1000", external_user_id="ann"),
    row("starts in 2099", "2099-01-01T00:00:00Z", None, "1000", external_user_id="ann"),
)
REASONS = {
    "ends in 2099": "end_in_future",
    "runs for ages": "end_in_future",
    "starts in 1970": "start_too_early",
    "starts in 2099": "start_in_future",
}


def land(warehouse: Path, now: datetime, last: str, *more: str) -> None:
    """Land from a vendor that lists every session, whatever it is asked for, by the extractor's clock."""
    tenant = Tenant.from_rows((*SESSIONS, *more), quotas={"ann": {"max_credit_cents": 20}}, now=now.replace(tzinfo=UTC))
    with serve(tenant, Options(window="ignore")) as server:
        extract(server, warehouse, now, "2026-10", last)


def column(warehouse: Path, sql: str) -> list[Any]:
    """The only column of a query."""
    return [next(iter(found.values())) for found in query(warehouse, sql)]


def months(warehouse: Path) -> list[list[str]]:
    """The months that are listed, invoiced and measured."""
    return [
        column(warehouse, f"select distinct {name} from marts.{mart} order by all")
        for name, mart in (
            ("billing_period", "dim_billing_periods"),
            ("invoice_period", "fct_invoices"),
            ("billing_period", "fct_quota_utilization"),
        )
    ]


@pytest.fixture(scope="module")
def october(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built an hour before October ends."""
    warehouse = tmp_path_factory.mktemp("clocks") / "usage.duckdb"
    land(warehouse, BEFORE, "2026-10")
    pipeline.build(warehouse)
    return warehouse


def test_rule_37_times_that_cannot_be_are_rejected(october: Path) -> None:
    rejected = query(october, "select row_id, reason from marts.rpt_rejected_rows")
    assert {found["row_id"]: found["reason"] for found in rejected} == REASONS


def test_rule_37_no_month_is_listed_invoiced_or_measured_before_it_begins(october: Path) -> None:
    assert months(october) == [["2026-10"]] * 3
    assert set(column(october, "select row_key from raw.usage_summaries")) <= {"2026-10", "2026-11"}


def test_rule_10_the_part_in_the_month_ahead_is_there(october: Path) -> None:
    assert credits(october, "2026-11") == {"ann": 12, "bea": 0}
    unbilled = query(october, "select reason, credits from marts.rpt_unbilled_usage where billing_period = '2026-11'")
    ahead = [found["credits"] for found in unbilled if found["reason"] == "period_not_begun"]
    assert [str(amount) for amount in ahead] == ["12.958333334"]


def test_rule_34_a_rounded_cost_widens_the_tolerance_by_a_nano_credit(october: Path) -> None:
    tolerances = query(
        october,
        "select * from marts.rpt_reconciliation where check_name like 'facts_vs_vendor%' order by external_user_id",
    )
    assert {(found["external_user_id"], str(found["tolerance_credits"])) for found in tolerances} == {
        ("ann", "1.000000001"),
        ("bea", "1.000000000"),
        (None, "1.000000001"),
    }
    moved = query(october, "select * from intermediate.int_rounded_costs")
    assert [(found["billing_period"], found["row_count"], found["moved_credits"]) for found in moved] == [
        ("2026-10", 1, Decimal("-0.00000000000000004"))
    ]


def test_rule_37_the_month_appears_once_a_load_begins_in_it(october: Path, tmp_path: Path) -> None:
    warehouse = pipeline.copy(october, tmp_path)
    land(warehouse, AFTER, "2026-11")
    pipeline.build(warehouse, *WITHOUT_TESTS)
    assert months(warehouse) == [["2026-10", "2026-11"]] * 3
    assert column(warehouse, "select reason from marts.rpt_unbilled_usage where billing_period = '2026-11'") == []
    # What is rejected stays so.
    assert {found["row_id"] for found in query(warehouse, "select row_id from marts.rpt_rejected_rows")} == set(REASONS)
    anew = pipeline.copy(warehouse, tmp_path / "anew")
    pipeline.build(anew, "--full-refresh", *WITHOUT_TESTS)
    assert list(differing_tables(warehouse, anew)) == []
