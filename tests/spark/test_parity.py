"""The same models on both engines: every mart on Spark is DuckDB's, row for row, to the nano-credit.

One tenant has every edge case that the generators know, and has been corrected after two months were closed. Each
engine builds it from the same raw rows, seeds and ledger; the data tests run on both.
"""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest
from starlette.requests import Request
from starlette.responses import Response

import pipeline
import tenants
from benchmarks.build.generate import Generator
from simulator.edges import edge_sandboxes, edge_sessions
from simulator.metering import nano_text, roll_up
from simulator.server import serve
from simulator.tenant import Tenant
from tenants import Rows
from tools.spark_cluster import Cluster, cluster
from two_engines import MARTS, RAW_TABLES, Pair, export_raw, told

SESSIONS = 500
"""Of the edge tenant, beside those that are spelt out."""

MILLION, MONTHS = 1_000_000, 4

# --- A cluster for all of them -------------------------------------------------------------------------------------


def _interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def spark() -> Iterator[Cluster]:
    """A master, two workers and a Thrift server; a test run that is told to end ends them first."""
    signal.signal(signal.SIGTERM, _interrupted)
    with cluster(workers=2) as running:
        yield running


# --- A tenant with every edge --------------------------------------------------------------------------------------


def odd_row(
    session: str,
    cost: str,
    user: str = '"a"',
    start: str = "2026-08-03T00:00:00Z",
    end: str = '"2026-08-03T01:00:00Z"',
) -> str:
    """A session of JSON texts, but for its start."""
    return (
        f'{{"id":"{session}","external_user_id":{user},"started_at":"{start}","ended_at":{end},"credit_cost":{cost}}}'
    )


ODD_ROWS = (
    # What a reader of JSON could take for something else, or not at all. Most are rejected.
    odd_row("first", '1,"id":"last","credit_cost":2'),
    odd_row(r"nul\u0000id", "0.1", r'"nul\u0000user"'),
    odd_row(r"lone\ud800id", "0.1", r'"lone\udc00"'),
    odd_row(r"pair \ud83d\ude00", "0.1", r'"pair \ud83d\ude00 \/ \" \\ \b\f\n\r\t"'),
    odd_row("digits", "123456789.1234567890123456789012345678901"),
    odd_row("huge", "1e400"),
    odd_row("tiny", "1E-99999999999999999999"),
    odd_row("exact", "1.23456789123456789E8"),
    odd_row("long", "1." + "0" * 3000),
    odd_row("list", '["5"]', '["a"]'),
    odd_row("object", '{"a":1}', '{"a":1}'),
    odd_row("true", "true", "true"),
    odd_row("number", "5", "-5"),
    odd_row("minus", '"-5"', '"-5"'),
    odd_row("blank", '" 5"', r'"{\"a\": 1} "', " 2026-08-03T00:00:00Z", r'"2026-08-03T01:00:00Z\n"'),
    odd_row("nested", '5e0 , "note" : [ 1 , -2.5 , "3" , { "id" : 7 } ]', '"a: 1, -2"'),
    odd_row("first day", "5", '"a"', "0001-01-01T00:00:00Z", '"0001-01-01T00:00:00.000001Z"'),
    odd_row("offset", "5", '"a"', "2026-08-04T00:00:00+23:59", '"2026-08-04T00:00:00-23:59"'),
    odd_row("year", "5", '"a"', "9999-12-31T23:59:59.999999-00:01", "null"),
    odd_row("day", "5", '"a"', "2026-02-30T00:00:00Z", '"2026-08-04T24:00:00Z"'),
    *('"text"', "5", "[]", "null", "{}"),
)


def odd_answers(tenant: Tenant) -> Callable[[Request, int], Any]:
    """A vendor whose rollup has lines that cannot be used, beside the right ones, and quotas in odd shapes."""

    async def answer(request: Request, number: int) -> Response | None:
        if request.url.path.endswith("/usage"):
            first, last = request.query_params["start"], request.query_params["end"]
            moments = [datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (first, last)]
            since, until = (pipeline.microseconds(moment.replace(tzinfo=None)) for moment in moments)
            rollup = roll_up(tenant, since, until, "split", "external_user_id")
            lines = [
                json.dumps({"external_user_id": group})[:-1]
                + f',"storage_gb_hours": 1234.5678901234567890123,"credit_cents": {nano_text(rollup.nano[group])} }}'
                for group in rollup.groups
            ]
            lines += [
                r'{"external_user_id":"odd \u00e9 \/ \ud83d\ude00 \u001f","credit_cents": "1,5","b":1E3, "a": [ 1.5 ]}',
                r'{"external_user_id":"(unattributed)","credit_cents":0}',
                r'{"external_user_id":"odd","credit_cents":1,"storage_gb_hours":-1}',
                r'{"external_user_id":"odd","total_usd":1.000000000001}',
                r'{"external_user_id":"odd \u00e9","total_usd":-150E-13,"sandbox_seconds":"1E1","line_items":'
                r'[{"dimension":"a \u00e9 \/","qty":1.50,"usd":0.29},{"dimension":"a \u00e9 /","usd":"1e-11"},'
                r'{"qty":"1_0"}, 5]}',
                r'{"external_user_id":"odd","total_usd":0,"line_items": {"a": [1.0]}}',
                r'"a text"', r"5", r"[1, 2.50]",
            ]  # fmt: skip
            return Response(f'{{"data": {{"results": [ {", ".join(lines)} ]}}}}', media_type="application/json")
        return None

    return answer


def table(header: str, *rows: tuple[str, ...]) -> str:
    """A seed as CSV text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header.split(","), *rows])
    return text.getvalue()


def seeds(folder: Path) -> Path:
    """Plans in three currencies, prices that change within a month, limits, and overrides, for hostile names too."""
    users = [*tenants.HOSTILE[:12], "user-1", "user-2"]
    return pipeline.write_seeds(
        folder,
        plans=table(
            "plan_id,plan_name,currency",
            *(("pay_as_you_go", "Pay as you go", "USD"), ("volume", 'The "Volume", plan', "EUR"), ("0007", "", "JPY")),
        ),
        plan_prices=table(
            "plan_id,valid_from,valid_to,monthly_fee,included_credits,minimum_charge,tier_model",
            ("pay_as_you_go", "0001-01-01", "", "", "", "", "graduated"),
            ("volume", "0001-01-01", "2026-09-11", "49.99", "100.000000001", "5", "volume"),
            ("volume", "2026-09-11", "", "59", "1e2", "25", "graduated"),
            ("0007", "0001-01-01", "", "300", "0", "1000", "graduated"),
        ),
        plan_price_tiers=table(
            "plan_id,valid_from,tier_from_credits,unit_price",
            *(
                ("pay_as_you_go", "0001-01-01", "0", "0.01"),
                ("pay_as_you_go", "0001-01-01", "1000000.5", "0.009999999"),
            ),
            *(("volume", "0001-01-01", "0", "0.335"), ("volume", "0001-01-01", "10", "0.3")),
            *(
                ("volume", "2026-09-11", "0", "0.335"),
                ("volume", "2026-09-11", "10", "0.3"),
                ("0007", "0001-01-01", "0", "1"),
            ),
        ),
        user_plans=table(
            "external_user_id,plan_id,valid_from,valid_to",
            *((user, ("volume", "0007")[place % 2], "2026-07-15", "") for place, user in enumerate(users)),
        ),
        plan_quotas=table(
            "plan_id,valid_from,valid_to,max_sandboxes,max_concurrent,max_storage_gb,max_credit_cents",
            *(
                ("pay_as_you_go", "0001-01-01", "", "50", "10", "", "1000"),
                ("volume", "2026-08-01", "", "2", "1", "0.5", ""),
            ),
        ),
        user_quota_overrides=table(
            "external_user_id,valid_from,valid_to,max_sandboxes,max_concurrent,max_storage_gb,max_credit_cents",
            *(
                (users[0], "2026-08-01", "", "uncapped", "", "", "5"),
                (users[1], "2026-08-01", "2026-09-01", "0", "0", "0", "0"),
            ),
        ),
    )


@pytest.fixture(scope="session")
def edges(spark: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The tenant, built on DuckDB: two months closed, then corrected; not yet built on Spark."""
    folder = tmp_path_factory.mktemp("edges")
    pair = Pair(folder / "edges.duckdb", seeds(folder / "seeds"), spark, folder, {"quotas_as_of": "2026-10-31"})
    rows = tenants.seeded_rows(7, SESSIONS)
    month = datetime(2026, 10, 1, tzinfo=UTC)
    rows = replace(
        rows,
        sessions=(*rows.sessions, *(edge.text for edge in edge_sessions(month)), *ODD_ROWS),
        sandboxes=(*rows.sandboxes, *edge_sandboxes(month)),
    )
    for lost, periods in ((0, ("2026-07", "2026-08")), (1, ())):
        # What is gone in the second reading is void, and closed months owe it back; what is new is billed late.
        kept = tuple(text for place, text in enumerate(rows.sessions) if place % 40 != 39 - 20 * lost)
        tenant = Rows(kept, rows.sandboxes, rows.quotas, rows.storage_gb).tenant()
        with serve(tenant, None, odd_answers(tenant)) as server:
            land = ("--allow-voids", "--parquet", str(pair.raw))
            pipeline.extract(server.base_url, pair.warehouse, *land, span=tenants.Span())
        for period in periods:
            variables = {"close_period": period, "first_billing_period": "2026-07"}
            done = pair.on_duckdb("build", "--exclude-resource-type", "unit_test", variables=variables)
            assert done.returncode == 0, done.stdout[-4000:]
    done = pair.on_duckdb("build", "--exclude-resource-type", "unit_test")
    assert done.returncode == 0, done.stdout[-4000:]
    pair.hand_over_ledger()
    return pair


def test_the_tenant_has_what_it_is_there_for(edges: Pair) -> None:
    def one(sql: str) -> Any:
        return next(iter(pipeline.query(edges.warehouse, sql)[0].values()))

    assert one("select count(*) from ledger.closed_periods") == 2
    assert one("select count(*) from marts.fct_invoice_lines where line_type = 'adjustment'") > 5
    assert one("select count(distinct currency) from marts.fct_invoice_lines") == 3
    assert one("select count(distinct line_type) from marts.fct_invoice_lines") == 5
    assert one("select count(*) from raw.usage_sessions where is_void") > 5
    assert one("select count(*) from raw.usage_sessions where payload_normalized is not null") > 1
    assert one("select count(*) from marts.fct_session_period_credits where is_provisional") > 5
    assert one("select count(distinct status) from marts.fct_quota_utilization") == 6
    assert one("select count(distinct reason) from marts.rpt_rejected_rows where source = 'usage_sessions'") >= 12
    assert one("select count(distinct reason) from marts.rpt_rejected_rows where source = 'usage_rollups'") == 4


@pytest.fixture(scope="session")
def built(edges: Pair) -> Pair:
    """The same, built and tested on Spark as well."""
    done = edges.on_spark("build", "--exclude-resource-type", "unit_test")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return edges


@pytest.mark.parametrize("mart", MARTS)
def test_every_mart_is_duckdbs(built: Pair, mart: str) -> None:
    found = built.differences(mart)
    assert not found, told(found)


@pytest.mark.parametrize("table_name", RAW_TABLES)
def test_raw_is_declared_as_the_extractor_writes_it(built: Pair, table_name: str) -> None:
    assert built.spark_columns(f"raw.{table_name}") == built.duckdb_columns(f"raw.{table_name}")


OVERFLOWS = {
    # A product of 39 digits and more, and a cast of 33 digits before the point to 29.
    "int_quota_utilization": {"quota_warning_percent": 10**30},
    "rpt_reconciliation": {"reconciliation_tolerance_credits": 10**32},
}


@pytest.mark.parametrize("model", OVERFLOWS)
def test_an_overflow_fails_the_build_on_both_engines(built: Pair, model: str) -> None:
    """And is no null that a sum would pass over."""
    alone = ("build", "--select", model, "--exclude-resource-type", "test", "unit_test")
    for run in (built.on_spark, built.on_duckdb):
        done = run(*alone, variables=OVERFLOWS[model])
        assert done.returncode == 1, done.stdout[-3000:]
        assert re.search("out.of.range|overflow|could not cast", done.stdout, re.IGNORECASE), done.stdout[-3000:]


def test_closing_is_refused_on_spark_before_anything_is_built(edges: Pair) -> None:
    done = edges.on_spark("build", variables={"close_period": "2026-09"})
    assert done.returncode != 0
    assert "2026-09 was not closed: a closing appends to several tables in one transaction" in done.stdout
    assert "close it on DuckDB" in done.stdout
    assert "created" not in done.stdout


def test_without_raw_spark_says_what_is_missing(edges: Pair) -> None:
    done = edges.on_spark("build", environment={"RAW_PARQUET_PATH": ""})
    assert done.returncode != 0
    assert "RAW_PARQUET_PATH is not set" in done.stdout


# --- A million sessions --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def million(spark: Cluster, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Pair:
    """Four months of a quarter of a million sessions each, built on both engines without data tests."""
    folder = tmp_path_factory.mktemp("million")
    pair = Pair(folder / "million.duckdb", pipeline.ROOT / "seeds", spark, folder, {"quotas_as_of": "2023-04-30"})
    Generator(pair.warehouse, MILLION // MONTHS).add_months(MONTHS, corrections=MILLION // 100)
    models = ("build", "--exclude-resource-type", "test", "unit_test")
    took: dict[str, float] = {}

    def timed(engine: str, run: Callable[[], object]) -> None:
        started = time.monotonic()
        done = run()
        took[engine] = time.monotonic() - started
        assert getattr(done, "returncode", 0) == 0, getattr(done, "stdout", "")[-6000:]

    timed("DuckDB", lambda: pair.on_duckdb(*models))
    export_raw(pair.warehouse, pair.raw)
    pair.hand_over_ledger()
    timed("Spark", lambda: pair.on_spark(*models))
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        figures = ", ".join(f"{engine} {seconds:.0f} s" for engine, seconds in took.items())
        reporter.write_line(f"\n{MILLION:,} sessions, all models without data tests: {figures}")
    return pair


@pytest.mark.parametrize("mart", MARTS)
def test_every_mart_of_a_million_sessions_is_duckdbs(million: Pair, mart: str) -> None:
    found = million.differences(mart)
    assert not found, told(found)
