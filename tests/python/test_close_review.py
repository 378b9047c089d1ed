"""What `rpt_close_review` and rule 38 say through the whole path, on one warehouse.

In April the vendor counts a row that must be rejected, and the month closes all the same. In May three users are on the
default plan, because `user_plans.csv` spells them in another way.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import Response

import pipeline
from simulator.server import serve
from tenants import Rows, Span
from test_planted_faults import row

TENANT = Rows(
    sessions=(
        row("usable", "2025-04-10T00:00:00Z", "2025-04-10T01:00:00Z", "12", external_user_id="ann"),
        # A millisecond of clock skew.
        row("skewed", "2025-04-11T00:00:00.001Z", "2025-04-11T00:00:00Z", "50", external_user_id="ann"),
        # The vendor names this user, although the row cannot be used.
        row("reversed", "2025-05-11T01:00:00Z", "2025-05-11T00:00:00Z", "0", external_user_id="only rejected"),
        *(
            row(f"may {user}", "2025-05-11T00:00:00Z", "2025-05-11T01:00:00Z", "3", external_user_id=user)
            for user in ("0012", "O'Brien", "bea", "only theirs")
        ),
    ),
)

USER_PLANS = """\
external_user_id,plan_id,valid_from,valid_to
ann,starter,2025-01-01,
12,starter,2025-01-01,
o\u2019brien,starter,2025-01-01,
"bea ",starter,2025-01-01,
nobody like it,starter,2025-01-01,
only rejected,starter,2025-01-01,
long gone,starter,2025-01-01,2025-05-01
"""


async def vendor_that_counts_it(request: Request, number: int) -> Response | None:
    """The rollup and the summary with the 50 credits of the skewed session."""
    if not request.url.path.endswith(("/usage", "/usage/summary")):
        return None
    start = request.query_params.get("start", request.query_params.get("period_start", ""))
    if not start.startswith("2025-04"):
        return None
    body: dict[str, Any] = {"total_credits": 62}
    if request.url.path.endswith("/usage"):
        results = [{"external_user_id": "ann", "credit_cents": 62}]
        body = {"period_start": start, "period_end": request.query_params["end"], "results": results}
    return Response(msgspec.json.encode(body), media_type="application/json")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse once April is closed."""
    folder = tmp_path_factory.mktemp("review")
    warehouse = folder / "usage.duckdb"
    seeds = pipeline.write_seeds(folder / "seeds", user_plans=USER_PLANS)
    with serve(TENANT.tenant(), fault=vendor_that_counts_it) as server:
        pipeline.extract(server.base_url, warehouse, span=Span("2025-04", "2025-05"))
    done = pipeline.build(warehouse, variables={"close_period": "2025-04"}, seeds=seeds)
    assert "2025-04 is closed" in done.stdout
    return warehouse


def test_rule_38_a_difference_that_rejected_rows_explain_does_not_block_a_close(closed: Path) -> None:
    rows = pipeline.query(
        closed,
        "select check_name, external_user_id, difference_credits, explained_credits from marts.rpt_reconciliation"
        " where status = 'explained' order by check_name",
    )
    assert [tuple(row.values()) for row in rows] == [
        ("facts_vs_vendor_rollup", "ann", Decimal(-50), Decimal(50)),
        ("facts_vs_vendor_summary", None, Decimal(-50), Decimal(50)),
    ]
    rejected = pipeline.query(closed, "select reason from marts.rpt_rejected_rows")
    assert [row["reason"] for row in rejected] == ["end_before_start"] * 2


def test_users_whom_the_vendor_never_named_are_listed_and_nobody_is_matched(closed: Path) -> None:
    rows = pipeline.query(closed, "select finding, external_user_id, message from marts.rpt_close_review")
    unknown = {row["external_user_id"] for row in rows if row["finding"] == "unknown_user"}
    assert unknown == {"12", "o\u2019brien", "bea ", "nobody like it"}
    resembling = {row["external_user_id"]: row["message"] for row in rows if row["finding"] == "resembling_user"}
    assert resembling.keys() == {"0012", "O'Brien", "bea"}
    assert "'12'" in resembling["0012"]
    on_default = {row["external_user_id"] for row in rows if row["finding"] == "default_plan"}
    assert on_default == {"0012", "O'Brien", "bea", "only theirs"}


def test_the_review_names_the_month_that_is_open_and_blocks_nothing_here(closed: Path) -> None:
    rows = pipeline.query(closed, "select * from marts.rpt_close_review order by finding_number")
    assert {row["billing_period"] for row in rows} == {"2025-05"}
    assert not any(row["is_blocking"] for row in rows)
    assert {"rejected_rows", "new_user"} <= {row["finding"] for row in rows}
    assert [row["finding_number"] for row in rows] == list(range(1, len(rows) + 1))
