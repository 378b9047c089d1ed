"""The vendor's usage report in both shapes: how it is asked for, for which period it is, and its way to the marts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import oracle
import tenants
from core.api import periods
from core.api.client import Client
from core.api.periods import require_month
from core.errors import ApiError, OtherPeriodError
from pipeline import Run, build, extract, query, whole_path
from publish.quotas.checking import check_api
from simulator import Options, Tenant, generate_tenant, serve
from simulator.app import API, DEFAULT_API_KEY
from simulator.usage_reports import dollars
from tenants import Span
from test_extract_support import command, current, land, row, settings_for
from test_extract_support import query as rows_of

OCTOBER = datetime(2026, 10, 1)
SESSIONS = [
    row("a", "2026-10-05"),
    row("b", "2026-10-06", external_project_id='"p"'),
    row("c", "2026-10-07", user=None),
]


def serve_rows(**options: Any) -> Any:
    return serve(Tenant.from_rows(SESSIONS), Options(**options))


def reports_asked(server: Any) -> list[set[str]]:
    """The names of the parameters of each request for a usage report."""
    return [set(asked) for _, path, asked in server.requests if path.endswith("/usage")]


# --- How it is asked for --------------------------------------------------------------------------------------------

ROLLUP, ITEMS = {"group_by", "start", "end"}, {"period_start", "period_end", "groupBy"}
SERVERS: dict[str, tuple[dict[str, Any], set[str], int]] = {
    "rollup": ({}, ROLLUP | ITEMS | {"period"}, 1),
    "rollup, documented only": ({"usage_parameters": "documented"}, ROLLUP | {"period"}, 2),
    "rollup, clients only": ({"usage_parameters": "documented", "usage_custom": "refused"}, ROLLUP, 4),
    "rollup, where custom is another period": ({"usage_custom": "ignored"}, ROLLUP, 4),
    "line items": ({"usage_shape": "data"}, ROLLUP | ITEMS | {"period"}, 1),
    "line items, inside data": ({"usage_shape": "data", "rollup_wrapped": True}, ROLLUP | ITEMS | {"period"}, 1),
    "line items, documented only": ({"usage_shape": "data", "usage_parameters": "documented"}, ITEMS, 3),
    "line items, where custom is another period": ({"usage_shape": "data", "usage_custom": "ignored"}, ITEMS, 3),
    "line items, one group": (
        {"usage_shape": "data", "usage_parameters": "documented", "usage_groups": "single"},
        *(ITEMS, 5),
    ),
}
"""Each server, the parameters that it takes, and the number of requests until it does."""


@pytest.mark.parametrize("name", SERVERS)
def test_every_documented_server_is_asked_in_its_way(name: str, tmp_path: Path) -> None:
    """The way that worked is the first one for the next month. No way asks for the month so far."""
    options, taken, tries = SERVERS[name]
    warehouse = tmp_path / "w.duckdb"
    with serve_rows(**options) as server:
        land(server, warehouse, first_month="2026-09", last_month="2026-10", threads=1, look_ahead_days=0)
        asked = reports_asked(server)
        named = {query["period"] for _, _, query in server.requests if "period" in query}
    assert len(asked) == tries + 1
    assert asked[-1] == asked[-2] == taken
    assert named <= {"custom", "2026-10"}
    landed = current(warehouse, "usage_rollups")
    assert set(landed) == {"2026-09", "2026-10"}
    body = json.loads(landed["2026-10"] or "")
    inner = body.get("data", body)
    lines = inner if isinstance(inner, list) else inner.get("results", inner.get("data"))
    assert {line["external_user_id"] for line in lines} == {"u1", None}


def test_the_log_says_which_shape_was_met(tmp_path: Path) -> None:
    for options, shape in (({}, "the rollup (credit_cents)"), ({"usage_shape": "data"}, "line items (total_usd)")):
        environment = {"MIOSA_API_KEY": DEFAULT_API_KEY, "WAREHOUSE_PATH": str(tmp_path / f"{len(options)}.duckdb")}
        with serve_rows(usage_parameters="documented", **options) as server:
            environment["MIOSA_BASE_URL"] = server.base_url
            done = command("--from", "2026-10", "--verbose", environment=environment)
        assert done.returncode == 0
        assert f"the vendor's usage report of 2026-10 comes as {shape}" in done.stderr
        assert "asked with the parameters of both shapes" in done.stderr


def test_a_server_that_takes_no_parameters_ends_the_run(tmp_path: Path) -> None:
    async def refuse(request: Request, number: int) -> Response | None:
        message = {"error": {"code": "invalid", "message": "not these"}}
        return JSONResponse(message, 422) if request.url.path == f"{API}/usage" else None

    with (
        serve(Tenant.from_rows(SESSIONS), Options(), refuse) as server,
        pytest.raises(ApiError, match=r"/usage: status 422: not these"),
    ):
        land(server, tmp_path / "w.duckdb")
    assert len(reports_asked(server)) == 6
    assert rows_of(tmp_path / "w.duckdb", "select count(*) from raw.usage_rollups") == [(0,)]


def test_headroom_is_read_from_dollars() -> None:
    """Credits are exact, and storage that nobody measured is not 0."""
    lines = [
        {"external_user_id": "u1", "external_project_id": "p", "total_usd": 0.29},
        {"external_user_id": "u2", "total_usd": 5},
        {"external_user_id": "u1", "total_usd": 0.00000000001},
    ]

    async def answer(request: Request, number: int) -> Response | None:
        body = {"data": lines, "currency": "usd"}
        return JSONResponse(body) if request.url.path == f"{API}/usage" else None

    tenant = Tenant.from_rows([], quotas={"u1": {"max_storage_gb": 0, "max_credit_cents": 30}})
    with serve(tenant, fault=answer) as server, Client(settings_for(server.base_url, Path("unused.duckdb"))) as client:
        standing = check_api(client, "u1")
    assert standing
    told = {quota["quota"]: quota for quota in standing.as_json()["quotas"]}
    assert told["credits"]["used"] == "29.000000001"
    assert (told["storage_gb"]["used"], told["storage_gb"]["is_reached"]) == (None, False)


# --- For which period it is -----------------------------------------------------------------------------------------

SAME = [
    {},
    {"period_start": None, "period_end": None},
    {"period_start": "2026-10-01T00:00:00Z", "period_end": "2026-11-01T00:00:00Z"},
    {"period_start": "2026-10-01", "period_end": "2026-11-01"},
    {"period_start": "2026-10-01", "period_end": "2026-10-31"},
    {"period_start": "2026-10-01T00:00:00", "period_end": "2026-10-31T23:59:59"},
    {"period_start": "2026-10-01 00:00", "period_end": "2026-10-31T23:59:59.999999999Z"},
    {"period_start": "2026-10-01T05:30:00+05:30", "period_end": "2026-10-31T20:00:00-0400"},
    {"period": {"start": "2026-10-01T00:00:00.000z", "end": "2026-11-01T00:00:00+00:00"}},
    {"period": {"start": "2026-10-01"}},
    {"period": "2026-10"},
    {"period": "custom"},
    {"data": {"period_start": "2026-10-01", "period_end": "2026-11-01"}, "period": "custom"},
]
OTHER = [
    {"period_start": "2026-09-01T00:00:00Z", "period_end": "2026-10-01T00:00:00Z"},
    {"period_start": "2026-10-01T00:00:00Z", "period_end": "2026-10-31T00:00:00Z"},
    {"period_start": "2026-10-01T00:00:00Z", "period_end": "2026-10-31T23:59:58Z"},
    {"period_start": "2026-10-01T00:00:00Z", "period_end": "2026-11-01T00:00:01Z"},
    {"period_start": "2026-10-01T00:00:00Z", "period_end": "2026-11-02"},
    {"period_start": "2026-10-01T00:00:00+02:00"},
    {"period_end": "2026-10-30"},
    {"period": {"start": "2026-10-02"}},
    {"period": {"end": "2026-09-30"}},
    {"period": "30d"},
    {"period": "mtd"},
    {"period": "2026-11"},
    {"period": 7},
    {"period_start": "x"},
    {"period_start": 1790812800},
    {"period_start": "2026-10-32"},
    {"period_start": "0001-01-01T00:00:00+23:59"},
    {"data": {"period_start": "2026-09-01"}, "period_start": "2026-10-01"},
    {"data": {"period": {"start": "2026-10-01", "end": "2026-10-30"}}},
]


@pytest.mark.parametrize("stated", SAME)
def test_what_can_only_mean_the_month_is_taken(stated: dict[str, Any]) -> None:
    require_month(stated, OCTOBER)


@pytest.mark.parametrize("stated", OTHER)
def test_any_other_period_is_refused(stated: dict[str, Any]) -> None:
    with pytest.raises(OtherPeriodError, match=r"another period than 2026-10 .*: period"):
        require_month(stated, OCTOBER)


def test_an_answer_may_end_now_while_the_month_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the vendor's clock, which may differ a little. An answer that ended yesterday has not all of the month."""
    now = datetime(2026, 10, 20, 12)
    monkeypatch.setattr(periods, "utc_now", lambda: now)
    for hours in (-0.9, 0, 1, 200):
        require_month({"period_end": f"{(now + timedelta(hours=hours)).isoformat()}Z"}, OCTOBER)
    for end in (now - timedelta(hours=1.1), datetime(2026, 11, 2), datetime(2026, 9, 30)):
        with pytest.raises(OtherPeriodError):
            require_month({"period_end": end.isoformat()}, OCTOBER)


@pytest.mark.parametrize("shape", ["results", "data"])
@pytest.mark.parametrize("text", ["offset", "dates", "last_second", "last_day", "month", "none"])
def test_the_same_period_is_known_however_it_is_written(shape: str, text: str, tmp_path: Path) -> None:
    with serve_rows(usage_shape=shape, usage_period_text=text) as server:
        land(server, tmp_path / "w.duckdb")
        assert len(reports_asked(server)) == 1
    assert set(current(tmp_path / "w.duckdb", "usage_rollups")) == {"2026-10"}


@pytest.mark.parametrize("shape", ["results", "data"])
def test_an_answer_for_another_period_is_an_error_and_no_figure(shape: str, tmp_path: Path) -> None:
    """One line, exit status 1; what was landed before it stays."""
    warehouse = tmp_path / "w.duckdb"
    # In December the month before the vendor's default period is not the one asked for either.
    tenant = Tenant.from_rows(SESSIONS, now=datetime(2026, 12, 3, tzinfo=UTC))
    with serve(tenant, Options(usage_shape=shape, usage_period="month_before")) as server:  # type: ignore[arg-type]
        environment = {
            "MIOSA_API_KEY": DEFAULT_API_KEY,
            "MIOSA_BASE_URL": server.base_url,
            "WAREHOUSE_PATH": str(warehouse),
        }
        done = command("--from", "2026-10", environment=environment)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    for part in ("/usage: the answer is for another period than 2026-10", "2026-09-01T00:00:00Z", "not stored"):
        assert part in done.stderr
    assert rows_of(warehouse, "select count(*) from raw.usage_rollups") == [(0,)]
    assert rows_of(warehouse, "select count(*) from raw.loads where resource = 'usage_rollups'") == [(0,)]
    assert rows_of(warehouse, "select count(*) from raw.usage_sessions") == [(3,)]


def test_a_summary_for_another_period_is_an_error_too(tmp_path: Path) -> None:
    async def answer(request: Request, number: int) -> Response | None:
        body = {"period_start": "2026-10-01", "period_end": "2026-10-30", "total_credits": 1}
        return JSONResponse(body) if request.url.path.endswith("/usage/summary") else None

    with (
        serve(Tenant.from_rows(SESSIONS), Options(), answer) as server,
        pytest.raises(OtherPeriodError, match="summary: the answer is for another period"),
    ):
        land(server, tmp_path / "w.duckdb")
    assert rows_of(tmp_path / "w.duckdb", "select count(*) from raw.usage_summaries") == [(0,)]


# --- Dollars become credits -----------------------------------------------------------------------------------------

EXACT = Context(prec=200, rounding=ROUND_HALF_UP)
ODD_DOLLARS = (
    *("0", "-0", "0.29", "-1.005", "1e-11", "1E-11", "-0.00000000001", "0.0000000000100", "12.5E+1", "1e0"),
    *("0.000000000001", "1e-12", "0.30000000000000004", "1e-999999999999999999999", "9999999999999.99999999999"),
    *("1e13", "10000000000000", "-1e13", "1e999999999999999999999", "0e999999999999999999999", "0.12345678901"),
    *("0.123456789012", "100e-13", "1000e-14", "1001e-14", "00.5", "1.", "+1", ".5", " 1", "1_000", "NaN", "true"),
)


def dollar_texts(count: int) -> list[str]:
    """Odd amounts, and drawn ones of any size and spelling."""
    rng = random.Random(19)
    texts = list(ODD_DOLLARS)
    while len(texts) < count:
        digits = str(rng.randrange(10 ** rng.randint(1, 26)))
        decimals = rng.randint(0, 14)
        text = f"{digits[:-decimals] or 0}.{digits[-decimals:].zfill(decimals)}" if decimals else digits
        sign, power = rng.choice(("", "", "-")), rng.choice(("", "", f"e{rng.randint(-6, 6)}"))
        texts.append(f"{sign}{text}{power}")
    return texts


def credits_of(text: str) -> tuple[int | None, str | None]:
    """What the rule says: nano-credits, or the reason to reject. A number is what JSON's grammar calls one."""
    number = oracle.read_number(text)
    if number is None:
        return None, "bad_credits"
    digits, _, power = text.lower().partition("e")
    if Decimal(digits) == 0:
        return 0, None
    if len(power) > 6:
        return None, "too_many_decimals" if power.startswith("-") else "bad_credits"
    nano = EXACT.scaleb(Decimal(text), 11)
    if nano != nano.to_integral_value():
        return None, "too_many_decimals"
    return (None, "bad_credits") if abs(nano) >= 10**24 else (int(nano), None)


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int | None, str | None]]:
    """3,000 amounts in dollars, through the staging model: text, nano-credits, reason."""
    warehouse = tmp_path_factory.mktemp("dollars") / "usage.duckdb"
    texts = dollar_texts(3000)
    with serve(Tenant.from_rows([])) as server:
        extract(server.base_url, warehouse, span=Span("2026-10", "2026-10"))
    with duckdb.connect(str(warehouse)) as connection:
        # Numbers as numbers where JSON allows it, else as strings.
        told = [
            text if oracle.read_number(text) and number % 2 else json.dumps(text) for number, text in enumerate(texts)
        ]
        lines = ",".join(f'{{"external_user_id":"u","total_usd":{text}}}' for text in told)
        connection.execute("update raw.usage_rollups set payload = ?", [f'{{"data":[{lines}],"currency":"usd"}}'])
    build(warehouse, "--select", "stg_miosa__usage_rollups", "--indirect-selection", "cautious")
    found = query(
        warehouse,
        "select line_number, (credits * 1000000000)::hugeint as nano, rejection_reason from"
        " staging.stg_miosa__usage_rollups order by line_number",
    )
    return [(texts[line["line_number"] - 1], line["nano"], line["rejection_reason"]) for line in found]


def test_rule_1_dollars_become_credits_exactly(priced: list[tuple[str, int | None, str | None]]) -> None:
    assert len(priced) == 3000
    assert not [(found, credits_of(found[0])) for found in priced if found[1:] != credits_of(found[0])]
    assert {reason for _, _, reason in priced} == {None, "bad_credits", "too_many_decimals"}


def test_the_simulators_dollars_are_its_credits() -> None:
    for nano in (0, 1, 29 * 10**9, 10**11, 123_456_789_012_345):
        assert oracle.nano_of_dollars(oracle.read_object(f'{{"usd":{bytes(dollars(nano)).decode()}}}')["usd"]) == nano


# --- The whole path -------------------------------------------------------------------------------------------------

FACTS = "check_name like 'facts_vs_vendor%'"


@pytest.fixture(scope="module")
def new_path(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return tmp_path_factory.mktemp


@pytest.fixture(scope="module")
def in_dollars(new_path: Callable[[str], Path]) -> Run:
    rows = tenants.seeded_rows(19, 250, clock_ends=False)
    return whole_path(new_path("dollars"), rows, Options(usage_shape="data", usage_parameters="documented"))


@pytest.fixture(scope="module")
def in_credits(new_path: Callable[[str], Path]) -> Run:
    return whole_path(new_path("credits"), tenants.seeded_rows(19, 250, clock_ends=False), data_tests=False)


def test_both_shapes_give_the_same_reconciliation(in_dollars: Run, in_credits: Run) -> None:
    """Also where a user comes in several elements. Everything but storage is the same."""
    for run in (in_dollars, in_credits):
        assert not run.differences()
    # The rollup also lists who only stores something, with no credits.
    asked = f"select * from marts.rpt_reconciliation where {FACTS} and expected_credits <> 0 order by all"
    assert query(in_dollars.warehouse, asked) == query(in_credits.warehouse, asked)
    users = query(
        in_dollars.warehouse,
        "select external_user_id from staging.stg_miosa__usage_rollups group by external_user_id, billing_period"
        " having count(*) > 1",
    )
    assert users


def test_what_a_shape_lacks_is_not_measured(in_dollars: Run, in_credits: Run) -> None:
    asked = (
        "select distinct quota, used_value is null as is_unknown, status = 'not_measured' as is_told, limit_value is"
        " null as is_unlimited from marts.fct_quota_utilization where used_value is null or status = 'not_measured'"
    )
    assert query(in_credits.warehouse, asked) == []
    found = query(in_dollars.warehouse, asked)
    assert {row["quota"] for row in found} == {"storage_gb"}
    assert all(row["is_unknown"] and row["is_told"] != row["is_unlimited"] for row in found)
    assert any(row["is_told"] for row in found)


def test_dimensions_hold_what_each_shape_says(in_dollars: Run, in_credits: Run) -> None:
    """In dollars the line items of a user sum to the vendor's credits; the rollup gives seconds and storage by user."""
    sums = query(
        in_dollars.warehouse,
        "select billing_period, external_user_id, sum(vendor_credits) as credits from marts.fct_usage_dimensions"
        " group by all",
    )
    told = in_dollars.answers[-1].vendor_nano
    assert {(row["billing_period"], row["external_user_id"]): int(row["credits"] * oracle.NANO) for row in sums} == {
        key: nano for key, nano in told.items() if key[1] is not None
    }
    units = "select distinct dimension, unit, source from marts.fct_usage_dimensions order by all"
    assert [tuple(row.values()) for row in query(in_dollars.warehouse, units)] == [
        ("managed_postgres", None, "line_items"),
        ("sandbox_ram_gb_seconds", "gb_seconds", "line_items"),
        ("sandbox_vcpu_seconds", "vcpu_seconds", "line_items"),
    ]
    assert [tuple(row.values()) for row in query(in_credits.warehouse, units)] == [
        ("computer_seconds", "vcpu_seconds", "rollup"),
        ("sandbox_seconds", "vcpu_seconds", "rollup"),
        ("storage_gb_hours", "gib_hours", "rollup"),
    ]
    projects = "select count(distinct external_project_id) as projects from marts.fct_usage_dimensions"
    assert query(in_dollars.warehouse, projects)[0]["projects"] > 1
    assert query(in_credits.warehouse, projects)[0]["projects"] == 0
    storage = query(
        in_credits.warehouse,
        "select quantity from marts.fct_usage_dimensions where dimension = 'storage_gb_hours' and quantity > 0",
    )
    assert storage


@pytest.mark.parametrize("lines", ["one_lost", "one_twice"])
def test_an_element_lost_or_counted_twice_is_a_mismatch(lines: str, tmp_path: Path) -> None:
    """In dollars; `test_planted_faults.py` plants the same in the rollup."""
    tenant = generate_tenant(seed=19, users=3, months=1, sessions=60, edge_cases=False)
    run = Run(tmp_path / "usage.duckdb")
    span = Span("2026-10", "2026-10")
    options = Options(usage_shape="data", usage_lines=lines)  # type: ignore[arg-type]  # the option's own check
    run.extract(tenant, options, span)
    done = build(run.warehouse, "--select", "+rpt_reconciliation", "+assert_vendor_figures_reconcile", check=False)
    assert done.returncode == 1
    assert "assert_vendor_figures_reconcile" in done.stdout
    wrong = query(run.warehouse, f"select * from marts.rpt_reconciliation where status = 'mismatch' and {FACTS}")
    assert [row["check_name"] for row in wrong] == ["facts_vs_vendor_rollup"]
    assert (wrong[0]["difference_credits"] > 0) == (lines == "one_lost")
