"""Rule 38 through the whole path: the vendor counts a row that we must reject, and the month closes all the same."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
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
    ),
)


async def vendor_that_counts_it(request: Request, number: int) -> Response | None:
    """The rollup and the summary with the 50 credits of the skewed session."""
    if not request.url.path.endswith(("/usage", "/usage/summary")):
        return None
    is_april = str(request.query_params).count("2025-04-01") > 0
    figure = 62 if is_april else 0
    body: dict[str, Any] = {"total_credits": figure}
    if request.url.path.endswith("/usage"):
        start, end = request.query_params["start"], request.query_params["end"]
        results = [{"external_user_id": "ann", "credit_cents": figure}] if is_april else []
        body = {"period_start": start, "period_end": end, "results": results}
    return Response(msgspec.json.encode(body), media_type="application/json")


def test_rule_38_a_difference_that_rejected_rows_explain_does_not_block_a_close(tmp_path: Path) -> None:
    warehouse = tmp_path / "usage.duckdb"
    with serve(TENANT.tenant(), fault=vendor_that_counts_it) as server:
        pipeline.extract(server.base_url, warehouse, span=Span("2025-04", "2025-04"))
    done = pipeline.build(warehouse, variables={"close_period": "2025-04", "default_plan_id": "pay_as_you_go"})
    assert "2025-04 is closed" in done.stdout
    rows = pipeline.query(
        warehouse,
        "select check_name, external_user_id, difference_credits, explained_credits from marts.rpt_reconciliation"
        " where status = 'explained' order by check_name",
    )
    assert [tuple(row.values()) for row in rows] == [
        ("facts_vs_vendor_rollup", "ann", Decimal(-50), Decimal(50)),
        ("facts_vs_vendor_summary", None, Decimal(-50), Decimal(50)),
    ]
    rejected = pipeline.query(warehouse, "select reason from marts.rpt_rejected_rows")
    assert [row["reason"] for row in rejected] == ["end_before_start"]
