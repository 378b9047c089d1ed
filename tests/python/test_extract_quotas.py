"""Which quotas a run reads and when, and what their answers and the list of sandboxes come to in the marts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pytest
from starlette.requests import Request

import pipeline
from core.errors import ConfigurationError
from simulator.quotas import QuotaOptions, quota_answer
from simulator.server import Server
from test_extract_support import Options, Response, Tenant, command, land, query, row, serve, settings_for

WHOLE = {"look_back_days": 0, "look_ahead_days": 0, "window_days": 31}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


def asked(server: Server) -> list[str]:
    """The users whose quota was asked for since the last call, in order."""
    found = [unquote(path.rpartition("/")[2]) for _, path, _ in server.requests if "/quotas/external/" in path]
    server.requests.clear()
    return found


# Which quotas are read


TENANT_ROWS = [
    row("s1", "2026-08-05", user="idle"),
    row("s2", "2026-08-05", user="capped"),
    row("s3", "2026-10-05", user="busy"),
    row("s4", "2026-10-06", user=None).replace('"computer_id":"c1"', '"computer_id":"c9"'),
]


def tenant() -> Tenant:
    return Tenant.from_rows(
        TENANT_ROWS, [{"id": "c9", "external_user_id": "owner"}], quotas={"capped": {"max_concurrent": 2}}
    )


def test_by_default_every_quota_is_read_those_first_that_matter(warehouse: Path) -> None:
    held = tenant()
    with serve(held) as server:
        land(server, warehouse, first_month="2026-08", last_month="2026-10", threads=1, **WHOLE)
        assert asked(server) == ["busy", "capped", "idle", "owner"]  # none was ever read, all have usage
        held.add_session(row("s5", "2026-10-07", user="new"))
        land(server, warehouse, threads=1, **WHOLE)
        assert asked(server) == ["new", "busy", "owner", "capped", "idle"]
        land(server, warehouse, threads=1, **WHOLE)
        assert asked(server) == ["busy", "new", "owner", "capped", "idle"]


def test_changed_reads_the_new_the_used_and_the_managed_and_the_rest_on_a_schedule(
    warehouse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(tenant()) as server:
        first = land(server, warehouse, first_month="2026-08", last_month="2026-10", quotas="changed", **WHOLE)
        assert (sorted(asked(server)), first.quotas_left) == (["busy", "capped", "idle", "owner"], 0)
        second = land(server, warehouse, quotas="changed", **WHOLE)
        assert sorted(asked(server)) == ["busy", "capped", "owner"]
        assert second.quotas_left == 1
        assert second.oldest_quota_at is not None
        # Changed by us once: managed, whatever the vendor has.
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute(
                "insert into raw.quota_changes values ('x','intent',now(),'idle','PUT',null,null,null,null,'0')"
            )
        land(server, warehouse, quotas="changed", **WHOLE)
        assert "idle" in asked(server)
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute("delete from raw.quota_changes")
        land(server, warehouse, quotas="changed", **WHOLE)
        assert "idle" not in asked(server)
        for shift in ("- interval 31 days", "+ interval 90 days"):  # long ago; and a clock that was set back since
            with duckdb.connect(str(warehouse)) as connection:
                connection.execute(f"update raw.loads set started_at_utc = started_at_utc {shift}")
            assert land(server, warehouse, quotas="changed", **WHOLE).quotas_left == 0
            assert sorted(asked(server)) == ["busy", "capped", "idle", "owner"]
        done = command(
            *("--from", "2026-10", "--quotas", "changed", "--look-back-days", "0"),
            environment={
                "MIOSA_API_KEY": "msk_demo",
                "MIOSA_BASE_URL": server.base_url,
                "WAREHOUSE_PATH": str(warehouse),
            },
        )
        assert done.returncode == 0
        assert "; 1 quotas not read again, the oldest of 20" in done.stdout


def test_quotas_takes_two_words_only() -> None:
    with pytest.raises(ConfigurationError, match="--quotas 'some' is not known: give all or changed"):
        settings_for("http://127.0.0.1:1", Path("w.duckdb"), quotas="some")


def test_an_unchanged_answer_is_noted_as_read_and_adds_no_version(warehouse: Path) -> None:
    held = tenant()
    with serve(held) as server:
        land(server, warehouse, **WHOLE)
        assert query(warehouse, "select count(*) from raw.quota_reads") == [(0,)]
        held.put_quota("capped", {"max_concurrent": 3})
        land(server, warehouse, first_month="2026-08", last_month="2026-10", **WHOLE)
    newest = "(select max(load_id) from raw.loads where resource = 'quotas')"
    assert query(warehouse, f"select row_key from raw.quota_reads where load_id = {newest} order by 1") == [
        ("busy",),
        ("owner",),
    ]
    assert query(warehouse, f"select row_key from raw.quotas where load_id = {newest} order by 1") == [
        ("capped",),
        ("idle",),
    ]


def test_a_sandbox_that_is_no_longer_listed_is_noted_once_and_may_come_back(warehouse: Path) -> None:
    sandboxes = [{"id": name, "external_user_id": "u1"} for name in ("a", "b")]

    def listed(names: str) -> None:
        with serve(Tenant.from_rows([], [each for each in sandboxes if each["id"] in names])) as server:
            land(server, warehouse, **WHOLE)

    for names in ("ab", "a", "a", "ab", "", ""):
        listed(names)
    rows = query(
        warehouse,
        "select row_key, payload is not null, added.rows_added from raw.sandboxes as rows"
        " join raw.loads as added using (load_id) order by load_id, row_number",
    )
    assert rows[:4] == [("a", True, 2), ("b", True, 2), ("b", False, 1), ("b", True, 1)]
    assert sorted(rows[4:]) == [("a", False, 2), ("b", False, 2)]


# What they come to


NESTED, FLAT = QuotaOptions(quota_shape="nested"), QuotaOptions(quota_shape="flat")
CURRENT = QuotaOptions(quota_shape="current")
LIMITS = {"max_sandboxes": 3, "max_concurrent": None, "max_storage_gb": None, "max_credit_cents": 5}


def answer_of(shape: QuotaOptions, user: str = "?") -> Any:
    """The quota without what stands around it."""
    said: Any = quota_answer(user, LIMITS, 7, 2, 1, shape)
    return said["data"]


ANSWERS: dict[str, tuple[int, Any]] = {
    "nested": (200, {"data": answer_of(NESTED)}),
    "flat": (200, {"data": answer_of(FLAT)}),
    "current": (200, {"data": answer_of(CURRENT)}),
    "bare": (200, answer_of(NESTED)),
    "quota": (200, {"quota": answer_of(FLAT)}),
    "quotas": (200, {"quotas": answer_of(CURRENT)}),
    "within": (200, {"data": {"quota": answer_of(NESTED)}}),
    "list": (200, {"quotas": [answer_of(NESTED, "list")]}),
    "nulls": (200, {"data": {"limits": dict.fromkeys(LIMITS)}}),
    "missing": (404, {"error": {"code": "not_found"}}),
    "words": (404, "Not Found"),
    "others list": (200, {"quotas": [answer_of(NESTED, "nested")]}),
    "two": (200, {"quotas": [answer_of(NESTED), answer_of(NESTED)]}),
    "renamed": (200, {"data": {"limits": {"sandboxes": 3}}}),
    "empty": (200, {}),
    "array": (200, []),
    "word": (200, "unlimited"),
}
LISTED = {"nested", "flat", "current", "bare", "quota", "quotas", "within", "list"}
UNLISTED = {"others list", "two", "renamed", "empty", "array", "word"}


async def in_every_shape(request: Request, number: int) -> Response | None:
    path = request.url.path
    if "/quotas/external/" not in path:
        return None
    status, said = ANSWERS[unquote(unquote(path.rpartition("/")[2]))]
    body = said if status == 404 and isinstance(said, str) else json.dumps(said)
    return Response(body, status, media_type="application/json")


@dataclass
class Built:
    """A warehouse that was extracted and built twice, and what the first build showed."""

    warehouse: Path
    first_read: dict[str, datetime]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Every user's quota in a shape of its own; between two readings a sandbox goes, and another one comes."""
    warehouse = tmp_path_factory.mktemp("quotas") / "usage.duckdb"
    now = datetime.now(UTC)
    month = f"{now:%Y-%m}"
    rows = [row(f"s-{user}", f"{month}-01T00:00:00Z", user=user) for user in ANSWERS]
    owned = [{"id": f"b{n}", "external_user_id": "nested", "created_at": "2026-01-01T00:00:00Z"} for n in range(2)]
    owned.append({"id": "b2", "external_user_id": "nested"})
    for sandboxes in (owned[:2], owned[1:]):
        # A tenant's own clock stands in November 2026: sessions of a later month would not count in its figures.
        with serve(Tenant.from_rows(rows, sandboxes, now=now), Options(), in_every_shape) as server:
            land(server, warehouse, first_month=month, look_back_days=0, look_ahead_days=0)
        pipeline.build(warehouse, "--exclude-resource-type", "test", "unit_test")
        if sandboxes == owned[:2]:
            first_read = last_read(warehouse)
    return Built(warehouse, first_read)


def last_read(warehouse: Path) -> dict[str, datetime]:
    return dict(
        query(warehouse, "select external_user_id, max(last_read_at_utc) from marts.dim_quota_limits group by 1")
    )


def test_every_listed_shape_gives_its_limits_and_every_other_one_a_rejected_row(built: Built) -> None:
    limits = query(
        built.warehouse,
        "select external_user_id, has_quota, any_value(limit_value) filter (where quota = 'sandboxes')::integer,"
        " any_value(limit_value) filter (where quota = 'credits')::integer from marts.dim_quota_limits group by all",
    )
    assert {each[0]: each[1:] for each in limits} == {
        **dict.fromkeys(LISTED, (True, 3, 5)),
        "nulls": (True, None, None),
        "missing": (False, None, None),
        "words": (False, None, None),
    }
    rejected = query(
        built.warehouse, "select row_id, reason from marts.rpt_rejected_rows where source = 'quotas' order by row_id"
    )
    assert rejected == [(user, "unreadable_quota") for user in sorted(UNLISTED)]


def test_the_vendors_counters_are_beside_ours_by_their_meaning(built: Built) -> None:
    counters = query(
        built.warehouse,
        "select external_user_id, counter, vendor_value from marts.rpt_quota_counters"
        " where external_user_id in ('nested', 'flat', 'current') order by all",
    )
    assert counters == [
        ("current", "owned_sandboxes", 2),
        *[("flat", "concurrent", 1), ("flat", "sandboxes", 7)],
        *[("nested", "concurrent", 1), ("nested", "sandboxes", 7)],
    ]


def test_a_limit_that_was_read_again_unchanged_shows_it(built: Built) -> None:
    again = last_read(built.warehouse)
    assert set(again) == set(built.first_read)
    assert all(again[user] > built.first_read[user] for user in again)
    versions = query(built.warehouse, "select count(distinct load_id), count(*) from raw.quotas")
    assert versions == [(1, len(ANSWERS))]


def test_a_build_in_full_gives_the_same(built: Built, tmp_path: Path) -> None:
    whole = pipeline.copy(built.warehouse, tmp_path / "whole")
    pipeline.build(whole, "--full-refresh", "--exclude-resource-type", "test", "unit_test")
    assert list(pipeline.differing_tables(built.warehouse, whole)) == []


@pytest.mark.parametrize("way", ["created", "owned"])
def test_rule_15_sandboxes_are_counted_as_the_variable_says(built: Built, tmp_path: Path, way: str) -> None:
    warehouse = pipeline.copy(built.warehouse, tmp_path / way)
    pipeline.build(warehouse, variables={"sandbox_quota_counts": way})
    used = query(
        warehouse,
        "select used_value::integer, status from marts.fct_quota_utilization"
        " where external_user_id = 'nested' and quota = 'sandboxes'",
    )
    # One sandbox was run; of three that were owned, two were there at a time.
    assert used == ([(1, "ok")] if way == "created" else [(2, "ok")])


def test_another_value_of_the_variable_stops_the_build_with_one_line(built: Built) -> None:
    done = pipeline.build(built.warehouse, variables={"sandbox_quota_counts": "both"}, check=False)
    assert done.returncode != 0
    assert "the variable sandbox_quota_counts is 'both': it must be created or owned" in done.stdout
