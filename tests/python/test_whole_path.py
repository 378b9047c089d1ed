"""Generated tenants through the whole path: simulator, extractor, dbt, and every mart against the oracle.

A build costs some ten seconds, so tests share warehouses, and one tenant carries many cases. `--full` adds the full
sizes and each variant of the API alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import duckdb
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

import oracle
import tenants
from core.database.path import RESERVED_NAMES, database_name
from pipeline import Run, assert_same, build, extract, mart_differences, query, rejected_differences, whole_path
from simulator.account import AccountOptions, AccountRoute, TransactionEnvelope
from simulator.app import Options
from simulator.metering import nano_text, roll_up
from simulator.quotas import QuotaPlace, QuotaShape
from simulator.server import serve
from simulator.tenant import Tenant
from simulator.usage_reports import UsageCustom, UsageGroups, UsageParameters, UsagePeriodText, UsageShape
from tenants import Rows, Span

NewDirectory = Callable[[str], Path]


@pytest.fixture(scope="session")
def new_directory(tmp_path_factory: pytest.TempPathFactory) -> NewDirectory:
    """Makes directories that no other test has."""
    return lambda name: tmp_path_factory.mktemp(name)


# --- One big tenant ------------------------------------------------------------------------------------------------


def odd_storage(tenant: Tenant, seed: int) -> Callable[[Request, int], Any]:
    """A vendor whose rollup has GB-hours of many decimals, so that their share of the period must be rounded."""
    rng = random.Random(seed)
    spellings = ["0.000000372", "1", "0.5e-3", "372e-9", "1234.5678901234567890123", "743.999999999", "0", "1e3"]
    hours: dict[tuple[str, str | None], msgspec.Raw] = {}

    async def answer(request: Request, number: int) -> Response | None:
        if not request.url.path.endswith("/usage"):
            return None
        first, last = request.query_params["start"], request.query_params["end"]
        since, until = oracle.read_time(first), oracle.read_time(last)
        assert since is not None
        assert until is not None
        rollup = roll_up(tenant, since, until, "split", "external_user_id")
        results = [
            {
                "external_user_id": group,
                "storage_gb_hours": hours.setdefault((first, group), msgspec.Raw(rng.choice(spellings).encode())),
                "credit_cents": msgspec.Raw(nano_text(rollup.nano[group]).encode()),
            }
            for group in rollup.groups
        ]
        body = msgspec.json.encode({"period_start": first, "period_end": last, "results": results})
        return Response(body, media_type="application/json")

    return answer


@pytest.fixture(scope="session")
def big(new_directory: NewDirectory) -> Run:
    """3,000 sessions over four months, and odd figures from the vendor."""
    tenant = tenants.seeded_rows(1, 3000).tenant()
    return whole_path(new_directory("big"), tenant, fault=odd_storage(tenant, 1))


def test_no_warehouse_may_be_named_like_a_schema_inside_of_it(big: Run) -> None:
    """One list for the extractor and dbt holds them all, and the names that DuckDB has taken."""
    own = {row["schema_name"] for row in query(big.warehouse, "select schema_name from duckdb_schemas()")}
    databases = {row["database_name"] for row in query(big.warehouse, "select database_name from duckdb_databases()")}
    # `touched` was a schema of earlier versions, which dbt drops.
    assert own | databases - {database_name(big.warehouse)} | {"memory", "dbt_test__audit", "touched"} == RESERVED_NAMES


@pytest.mark.parametrize("name", sorted(oracle.KEYS))
def test_every_mart_is_what_the_oracle_works_out(big: Run, name: str) -> None:
    found = mart_differences(big.expected.by_name[name], big.marts[name])
    assert not found, f"{len(found)} differences:\n" + "\n".join(line[:400] for line in found[:10])
    assert big.marts[name]


def test_rule_2_no_column_is_a_float(big: Run) -> None:
    """In any schema: a float on the way would have lost digits that no later cast brings back."""
    columns = query(big.warehouse, "select * from duckdb_columns() where schema_name <> 'main' and not internal")
    assert {"raw", "staging", "intermediate", "marts", "ledger"} <= {row["schema_name"] for row in columns}
    floats = [row for row in columns if any(name in row["data_type"] for name in ("DOUBLE", "FLOAT", "REAL"))]
    assert not floats


def test_rule_7_rejected_rows_are_reported_each_and_no_others(big: Run) -> None:
    found = rejected_differences(big.expected.rejected, big.warehouse)
    assert not found, f"{len(found)} differences:\n" + "\n".join(line[:400] for line in found[:10])


def test_rule_33_the_reconciliation_shows_the_true_figures(big: Run) -> None:
    found = big.reconciliation_differences()
    assert not found, f"{len(found)} differences:\n" + "\n".join(line[:400] for line in found[:10])


def test_rule_33_a_healthy_tenant_reconciles(big: Run) -> None:
    statuses = query(
        big.warehouse, "select check_name, status, count(*) as rows from marts.rpt_reconciliation group by all"
    )
    assert {row["status"] for row in statuses} == {"ok"}
    assert {"facts_vs_vendor_rollup", "facts_vs_vendor_summary"} <= {row["check_name"] for row in statuses}


def test_the_bridge_leads_from_our_credits_to_the_vendors_figure(big: Run) -> None:
    assert big.bridge_differences() == []
    steps = query(big.warehouse, "select step, credits from marts.rpt_vendor_bill_bridge")
    assert len(steps) >= 8
    # This vendor counts a few of the rows that must be rejected: less than what the reconciliation lets pass.
    assert all(abs(row["credits"]) < 1 for row in steps if row["step"] == "unexplained")


@pytest.mark.parametrize("step", ["invoiced_users", "unattributed", "rejected", "vendor"])
def test_a_wrong_step_of_the_bridge_is_seen(big: Run, tmp_path: Path, step: str) -> None:
    spoilt = big.copy(tmp_path)
    with closing(duckdb.connect(str(spoilt.warehouse))) as file:
        file.execute(
            "update marts.rpt_vendor_bill_bridge set credits = credits + 0.000000001 where step = ?"
            " and billing_period = (select max(billing_period) from marts.rpt_vendor_bill_bridge)",
            [step],
        )
    assert len(spoilt.bridge_differences()) == 1


def test_rule_10_every_mart_has_the_same_total(big: Run) -> None:
    totals = {
        name: sum(row["credits"] for row in big.marts[name].values())
        for name in ("fct_user_period_credits", "fct_user_day_credits", "fct_session_period_credits")
    }
    assert set(totals.values()) == {sum(row.nano_credits for row in oracle.usable_sessions(big.known))}


# --- The same tenant, however it is served -------------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """One way to be told, or to compute, the same facts."""

    options: Options
    tz: str = "UTC"
    swaps_costs: bool = False


TOGETHER = {
    "string cursor, other cost, by end": Variant(
        Options(envelope="cursor", rows_key="items", window="end", rollup_wrapped=True, empty_list="null"),
        tz="Pacific/Kiritimati",
        swaps_costs=True,
    ),
    "meta, capped, permuted, New York": Variant(
        Options(envelope="meta", rows_key="sessions", max_page_size=7, shuffle_seed=5, window="overlap"),
        tz="America/New_York",
    ),
    "bare, unfiltered, permuted": Variant(
        Options(rows_key="bare", window="ignore", shuffle_seed=6, quota_shape="flat", rollup_rounding="cents")
    ),
}
"""Several departures at once. `make test` has the time for one; that raw is the same for all is shown elsewhere."""

ALONE = {
    "meta": Variant(Options(envelope="meta")),
    "string cursor": Variant(Options(envelope="cursor")),
    "integer cursor": Variant(Options(envelope="cursor", cursor_type="integer", max_page_size=9)),
    "sessions": Variant(Options(rows_key="sessions")),
    "items": Variant(Options(rows_key="items")),
    "bare": Variant(Options(rows_key="bare")),
    "permuted": Variant(Options(shuffle_seed=7)),
    "other cost": Variant(Options(), swaps_costs=True),
    "one row a page": Variant(Options(max_page_size=1)),
    "capped": Variant(Options(max_page_size=13)),
    "overlap": Variant(Options(window="overlap")),
    "end": Variant(Options(window="end")),
    "ignore": Variant(Options(window="ignore")),
    "flat quotas": Variant(Options(quota_shape="flat")),
    "wrapped rollup": Variant(Options(rollup_wrapped=True)),
    "null for an empty list": Variant(Options(empty_list="null")),
    "404 past the end": Variant(Options(max_page_size=5, past_end="404", has_total=False)),
    "more said outright": Variant(Options(max_page_size=5, more="next", has_total=False, has_page_size=False)),
    "New York": Variant(Options(), tz="America/New_York"),
    "Kolkata": Variant(Options(), tz="Asia/Kolkata"),
}
"""Each departure for itself."""


def steady_rows() -> Rows:
    """A tenant of whose figures none depends on when it is read."""
    return tenants.seeded_rows(2, 250, clock_ends=False)


@pytest.fixture(scope="session")
def steady(new_directory: NewDirectory) -> Run:
    """The steady tenant as the documentation says that it is served."""
    return whole_path(new_directory("steady"), steady_rows(), data_tests=False)


def asked_for(mart: oracle.Mart) -> oracle.Mart:
    """A mart without the periods after the last month asked for.

    How far beyond it the extractor has to look depends on what the server selects by, so whether a later period is
    complete is no figure of the tenant's.
    """
    return {key: row for key, row in mart.items() if row.get("is_complete") is None or key[0] <= Span().last}


def check_variant(steady: Run, variant: Variant, directory: Path) -> None:
    """The marts are the documented server's, and the oracle's."""
    rows = tenants.swapped_costs(steady_rows()) if variant.swaps_costs else steady_rows()
    run = whole_path(directory, rows, variant.options, tz=variant.tz, data_tests=False)
    assert_same(run)
    for name in oracle.KEYS:
        found = mart_differences(asked_for(steady.marts[name]), asked_for(run.marts[name]))
        assert not found, f"{name}, {len(found)} differences:\n" + "\n".join(line[:400] for line in found[:10])


def test_the_documented_server(steady: Run) -> None:
    assert_same(steady)


@pytest.mark.parametrize(
    "name", [name if place == 0 else pytest.param(name, marks=pytest.mark.slow) for place, name in enumerate(TOGETHER)]
)
def test_however_it_is_served_the_marts_are_the_same(steady: Run, name: str, tmp_path: Path) -> None:
    check_variant(steady, TOGETHER[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALONE)
def test_each_variant_alone_gives_the_same_marts(steady: Run, name: str, tmp_path: Path) -> None:
    check_variant(steady, ALONE[name], tmp_path)


def test_a_month_without_usage_is_no_rejected_row(new_directory: NewDirectory) -> None:
    """Where the vendor writes null for its rollup's empty list."""
    warehouse = new_directory("idle") / "usage.duckdb"
    with serve(Tenant.from_rows([]), Options(empty_list="null")) as server:
        extract(server.base_url, warehouse, span=Span())
    payloads = query(warehouse, "select payload from raw.usage_rollups")
    assert payloads
    assert all('"results":null' in row["payload"] for row in payloads)
    build(warehouse, "--select", "stg_miosa__usage_rollups", "--indirect-selection", "cautious")
    assert query(warehouse, "select * from staging.stg_miosa__usage_rollups") == []


# --- Extracted again -----------------------------------------------------------------------------------------------


RAW = ("usage_sessions", "sandboxes", "quotas", "usage_rollups", "usage_summaries")


def raw_rows(run: Run) -> dict[str, int]:
    """How many rows each raw table holds."""
    return {name: query(run.warehouse, f"select count(*) as n from raw.{name}")[0]["n"] for name in RAW}


def test_rule_4_a_repeated_extract_changes_nothing(steady: Run, tmp_path: Path) -> None:
    rng = random.Random(3)
    rows, run = steady_rows(), steady.copy(tmp_path)
    before = raw_rows(run)
    moved = replace(rows, sessions=tuple(tenants.reordered(text, rng) for text in rows.sessions))
    run.extract(moved, Options(shuffle_seed=8, max_page_size=50), Span())
    run.extract(rows, Options(envelope="cursor"), Span())
    assert raw_rows(run) == before
    run.build(data_tests=False)
    assert_same(run)
    assert run.marts == steady.marts


def changed(rows: Rows) -> Rows:
    """The tenant some time later: sessions ended, corrected, gone and late; owners and quotas are others."""
    rng = random.Random(4)
    sessions = []
    for place, text in enumerate(rows.sessions):
        row = oracle.read_object(text)
        if oracle.session_faults(row, Span().end) or place % 3:
            sessions.append(text)
        elif row.get("ended_at") is None:
            start = oracle.read_time(row["started_at"]) or 0
            length = rng.randrange(min(9 * oracle.MICROSECONDS_PER_DAY, Span().end - start))
            ended = tenants.quoted(tenants.time_text(start + length, rng))
            sessions.append(
                text[:-1] + f',"ended_at":{ended},"credit_cost":7.25,"credits_used":null,"duration_sec":null}}'
            )
        elif place % 12:
            sessions.append(text[:-1] + f',"credit_cost":{place}.000000001,"credits_used":null}}')
        elif place % 36:
            sessions.append(text[:-1] + ',"credit_cost":-1}')  # the newest version is rejected: counts zero
        # else the session is no longer listed
    late = tenants.seeded_rows(5, 60, clock_ends=False, rejected_share=0).sessions
    sessions += [text.replace('"id":"s', '"id":"late-') for text in late if '"id":"s' in text]
    sandboxes = []
    for place, text in enumerate(rows.sandboxes):
        owner = ("null", '"user-1"', '"(unattributed)"', '"user-2"')[place % 4]
        has_id = oracle.usable_id(oracle.read_object(text).get("id")) is not None
        sandboxes.append(text[:-1] + f',"external_user_id":{owner}}}' if has_id else text)
    quotas = {user: limits for place, (user, limits) in enumerate(rows.quotas.items()) if place % 5}
    quotas |= {user: {"max_credit_cents": Decimal("0.5"), "max_concurrent": 1} for user in list(quotas)[::3]}
    return replace(rows, sessions=tuple(sessions), sandboxes=tuple(sandboxes), quotas=quotas)


def asked_sandboxes_at(run: Run, moment: str) -> None:
    """Have the newest list of sandboxes asked for at another time, from which its owners count."""
    with closing(duckdb.connect(str(run.warehouse))) as connection:
        connection.execute(
            "update raw.loads set started_at_utc = $1::timestamp where load_id ="
            " (select max(load_id) from raw.loads where resource = 'sandboxes')",
            [moment],
        )
    run.forget()


def test_rules_4_6_9_14_what_changes_later(new_directory: NewDirectory) -> None:
    run = Run(new_directory("history") / "usage.duckdb")
    before = tenants.seeded_rows(6, 200)
    after = changed(before)
    run.extract(before, span=Span())
    run.extract(after, Options(shuffle_seed=9), Span())
    asked_sandboxes_at(run, "2026-10-10")
    # This vendor goes by a sandbox's owner of today, the warehouse by the one at the session's start.
    run.build(tolerance_credits=10**12, data_tests=False)
    assert_same(run)
    run.extract(before, Options(envelope="meta"), Span())  # A, B, A: what was gone is back
    asked_sandboxes_at(run, "2026-10-20")
    run.build(tolerance_credits=10**12, data_tests=False)
    assert_same(run)
    days = run.marts["fct_user_day_credits"]
    asked_sandboxes_at(run, "2026-09-20")  # the clock went back: who came in between was never an owner
    run.build(tolerance_credits=10**12, data_tests=False)
    assert_same(run)
    assert days != run.marts["fct_user_day_credits"]


# --- The month that has not ended ----------------------------------------------------------------------------------


def test_rule_34_the_current_month(new_directory: NewDirectory) -> None:
    now = datetime.now(UTC)
    last_month = now.replace(day=1) - timedelta(days=1)
    instant = (now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    span = Span(f"{last_month:%Y-%m}", f"{now:%Y-%m}", until=instant - oracle.MICROSECONDS_PER_HOUR)
    run = whole_path(new_directory("current"), tenants.seeded_rows(7, 150, span), span=span, data_tests=False)
    assert_same(run)
    assert run.marts["dim_billing_periods"][f"{now:%Y-%m}",]["is_complete"] is True


# --- Tenants of hypothesis's choosing ------------------------------------------------------------------------------


SERVERS = st.builds(
    Options,
    envelope=st.sampled_from(["page", "meta", "cursor", "offset"]),
    cursor_type=st.sampled_from(["string", "integer"]),
    rows_key=st.sampled_from(["data", "sessions", "items", "bare"]),
    max_page_size=st.sampled_from([7, 20, 99, 100]),
    window=st.sampled_from(["start", "overlap", "end", "ignore"]),
    rollup_wrapped=st.booleans(),
    rollup_rounding=st.sampled_from([None, "cents"]),
    usage_shape=st.sampled_from(get_args(UsageShape)),
    usage_parameters=st.sampled_from(get_args(UsageParameters)),
    usage_groups=st.sampled_from(get_args(UsageGroups)),
    usage_custom=st.sampled_from(get_args(UsageCustom)),
    usage_period_text=st.sampled_from(get_args(UsagePeriodText)),
    quota_shape=st.sampled_from(get_args(QuotaShape)),
    quota_place=st.sampled_from(get_args(QuotaPlace)),
    is_quota_listed=st.booleans(),
    account=st.builds(
        AccountOptions,
        refused=st.dictionaries(st.sampled_from(get_args(AccountRoute)), st.sampled_from([401, 403, 404])),
        envelope=st.sampled_from(get_args(TransactionEnvelope)),
        is_signed=st.booleans(),
    ),
    shuffle_seed=st.none() | st.integers(0, 100),
    more=st.sampled_from(["nothing", "has_more", "next", "next_page", "total_pages"]),
    past_end=st.sampled_from(["empty", "404"]),
    empty_list=st.sampled_from(["list", "null"]),
)
"""Every dialect of the vendor that its documentation and its clients show, mixed at random."""

ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"])


def check_any(new_directory: NewDirectory, rows: Rows, options: Options, tz: str) -> None:
    """Any tenant, any server, any zone: the marts are the oracle's."""
    assert_same(whole_path(new_directory("any"), rows, options, tz=tz, data_tests=False))


COSTLY = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    print_blob=True,
)


@settings(COSTLY, max_examples=2)
@given(rows=tenants.adversarial_rows(), options=SERVERS, tz=ZONES)
def test_any_tenant_on_any_server(new_directory: NewDirectory, rows: Rows, options: Options, tz: str) -> None:
    check_any(new_directory, rows, options, tz)


@pytest.mark.slow
@settings(COSTLY, max_examples=40)
@given(rows=tenants.adversarial_rows(), options=SERVERS, tz=ZONES)
def test_many_tenants_on_any_server(new_directory: NewDirectory, rows: Rows, options: Options, tz: str) -> None:
    check_any(new_directory, rows, options, tz)


# --- Full size -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(101, 106))
def test_twenty_thousand_sessions(seed: int, tmp_path: Path) -> None:
    run = whole_path(tmp_path, tenants.seeded_rows(seed, 20_000))
    assert_same(run)
