"""`python -m publish quotas` against the simulated API over real HTTP, read back by the vendor's own client."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest
from miosa import Miosa
from miosa.errors import MiosaError
from starlette.requests import Request

from core.errors import ApiError
from pipeline import build, write_seeds
from publish.cli import outcome
from publish.quotas.limits import number_text, quota_body, read_quota
from simulator.server import Server
from test_extract_support import ROOT, Options, Response, Tenant, command, land, query, row, serve

KEY = "msk_canary_9876543210"
FIELDS = {
    "credits": "max_credit_cents",
    "concurrent": "max_concurrent",
    "sandboxes": "max_sandboxes",
    "storage_gb": "max_storage_gb",
}
HOSTILE = [
    "a/b?c",
    "emoji-😀",
    "..",
    ".",
    "%2e",
    "%2e%2e",
    'it\'s "quoted"',
    "  blanks ",
    "a%2Fb",
    "a+b&c=d",
    "\\",
    "é\n",
]
NOBODY = "user-without-anything"

Caps = Mapping[str, int | Decimal | str | None]


@dataclass
class Api:
    """The simulator's `fault` seam: refuses writes, or answers to a path, as a test says; keeps what was written."""

    refuse: dict[str, int] = field(default_factory=dict)
    """Statuses by the end of a path, for writes alone."""
    reads: dict[str, int] = field(default_factory=dict)
    """Likewise for reads."""
    failures: int = 0
    """How many writes fail with 503 before the next one is done."""
    lost: int = 0
    """How many writes are done and not answered."""
    written: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Method, path, body and idempotency key of each write that came."""
    server: Server | None = None

    async def __call__(self, request: Request, number: int) -> Response | None:
        """Answer in the server's place, or not."""
        path = request.scope["path"]
        if request.method == "GET":
            status = next((status for end, status in self.reads.items() if path.endswith(end)), None)
            return error(status) if status else None
        body = await request.body()
        self.written.append((request.method, path, body.decode(), request.headers["idempotency-key"]))
        status = next((status for end, status in self.refuse.items() if path.endswith(end)), None)
        if status:
            return error(status)
        if self.failures:
            self.failures -= 1
            return error(503)
        if self.lost:
            self.lost -= 1
            assert self.server is not None
            self.server.tenant.put_quota("u1", json.loads(body))
            return error(502)
        return None


def error(status: int) -> Response:
    return Response(f'{{"error":{{"code":"x","message":"no {KEY}"}}}}', status, media_type="application/json")


@dataclass
class World:
    """A warehouse, the API it came from, and what is wanted."""

    warehouse: Path
    server: Server
    api: Api

    def want(self, wanted: Mapping[str, Caps], others: int = 0) -> None:
        """Have these limits wanted, and so many other users."""
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute("create schema if not exists marts")
            connection.execute(
                "create or replace table marts.dim_desired_quota_limits ("
                "external_user_id varchar, quota varchar, valid_from date, valid_to date,"
                " limit_value decimal(38, 9), wanted_by varchar, plan_id varchar)"
            )
            for user, caps in wanted.items():
                for name, cap in caps.items():
                    connection.execute(
                        "insert into marts.dim_desired_quota_limits values (?, ?, null, null, ?, 'plan', 'pro')",
                        [user, name, None if cap is None else Decimal(cap)],
                    )
            connection.execute(
                "create or replace table marts.dim_users as select 'other-' || i as external_user_id,"
                " true as is_attributed, 1 as sandbox_count from range(?) as numbers (i)",
                [others or 1000],
            )
            connection.execute(
                "create or replace view marts.dim_quota_answers as select row_key as external_user_id, http_status,"
                " case when http_status <> 404 then coalesce(payload_normalized, payload) end as answer from raw.quotas"
                " qualify row_number() over (partition by row_key order by load_id desc, row_number desc) = 1"
            )
            connection.execute(
                "create or replace table marts.rpt_builds as select 'dbt build' as command, 'success' as status,"
                " now()::timestamp as started_at_utc, 0 as failure_count, true as is_proven, 0 as newer_load_count,"
                " 0 as newer_quota_load_count, true as is_deciding"
            )
            connection.execute(
                "create or replace table marts.dim_billing_periods as select * from"
                " (values ('2026-09', true), ('2026-10', true), ('2026-11', false)) as t (billing_period, is_complete)"
            )
            connection.execute(
                "create or replace table marts.fct_quota_utilization (external_user_id varchar, billing_period varchar,"
                " quota varchar, limit_value decimal(38, 9), used_value decimal(38, 9), reached_limit_at_utc timestamp)"
            )

    def write(self, sql: str, *values: Any) -> None:
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute(sql, list(values))

    @property
    def environment(self) -> dict[str, str]:
        return {"MIOSA_API_KEY": KEY, "MIOSA_BASE_URL": self.server.base_url, "WAREHOUSE_PATH": str(self.warehouse)}

    def writes(self) -> list[tuple[str, str]]:
        """Method and path of the writes since the last call."""
        found = [(method, path.rpartition("/")[2]) for method, path, _, _ in self.api.written]
        self.api.written.clear()
        return found

    def changes(self, columns: str = "event, method, row_key") -> list[tuple[Any, ...]]:
        return query(self.warehouse, f"select {columns} from raw.quota_changes order by rowid")

    def process(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "publish", "quotas", *arguments],
            env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )


USERS: dict[str, Mapping[str, int | Decimal | None] | None] = {
    "u1": {"max_concurrent": 2, "max_storage_gb": Decimal("0.5")},
    "u2": {"max_credit_cents": 1000},
    "u3": None,
    "u4": {},
}


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Four users with their quotas landed: two with limits, one with none, one whose limits are all null."""
    warehouse = tmp_path_factory.mktemp("landed") / "w.duckdb"
    rows = [row(f"s{user}", "2026-10-05", user=user) for user in USERS]
    with serve(tenant_of(rows)) as plain:
        land(plain, warehouse, look_back_days=0, look_ahead_days=0, window_days=31)
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("checkpoint")  # so that the file alone may be copied
    return warehouse, rows


def tenant_of(rows: list[str]) -> Tenant:
    return Tenant.from_rows(rows, quotas={user: limits for user, limits in USERS.items() if limits is not None})


@pytest.fixture
def world(tmp_path: Path, landed: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The users in a warehouse of the test's own, and the API that they came from."""
    warehouse, api = tmp_path / "w.duckdb", Api()
    shutil.copy(landed[0], warehouse)
    with serve(tenant_of(landed[1]), Options(api_key=KEY), api) as server:
        api.server = server
        made = World(warehouse, server, api)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("EXTRACT_MAX_TRIES", "3")
        monkeypatch.setenv("EXTRACT_REQUEST_SECONDS", "10")
        made.want({})
        yield made


def client(server: Server) -> Miosa:
    return Miosa(api_key=KEY, base_url=server.base_url, max_retries=0)


def limits_by_their_client(server: Server, user: str) -> dict[str, Any] | None:
    """A user's limits as the vendor's own client reads them; None for no quota."""
    with client(server) as connected:
        try:
            limits: dict[str, Any] = connected.quotas.get(quote(user, safe="").replace(".", "%2E"))["limits"]
        except MiosaError as missing:
            if missing.status_code == 404:
                return None
            raise
    return limits


def differences(capsys: pytest.CaptureFixture[str]) -> list[tuple[Any, ...]]:
    """What `diff --json` says, in short; its exit status has to agree."""
    capsys.readouterr()
    status, line = outcome(["quotas", "diff", "--json"])
    assert not line
    said = json.loads(capsys.readouterr().out)
    assert status == (3 if said["differences"] else 0)
    return [
        (each["external_user_id"], each["quota"], each["in_force"], each["wanted"]["value"])
        for each in said["differences"]
    ]


def apply(*arguments: str) -> tuple[int, str]:
    return outcome(["quotas", "apply", "--yes", *arguments])


# What differs


def test_diff_tells_no_quota_uncapped_a_number_and_unknown_apart(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.want({user: {"concurrent": 5} for user in (*USERS, "never-read")})
    world.server.requests.clear()
    states = {user: limit for user, _, limit, wanted in differences(capsys)}
    assert states == {
        "u1": {"state": "limit", "value": "2"},
        "u2": {"state": "uncapped", "value": None},
        "u3": {"state": "no_quota", "value": None},
        "u4": {"state": "uncapped", "value": None},
        "never-read": {"state": "unknown", "value": None},
    }
    assert not world.server.requests  # and it needs none


def test_diff_json_is_a_document_with_amounts_as_text_and_why(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MIOSA_API_KEY")
    world.want({"u1": {"storage_gb": "0.500000001", "concurrent": 2}})
    world.write("update marts.dim_desired_quota_limits set wanted_by = 'override', plan_id = null")
    assert outcome(["quotas", "diff", "--json"]) == (3, "")
    said = json.loads(capsys.readouterr().out)
    assert said.pop("as_of")
    assert said == {
        "user_count": 1001,
        "managed_user_count": 1,
        "differing_user_count": 1,
        "unproven": None,
        "differences": [
            {
                "external_user_id": "u1",
                "quota": "storage_gb",
                "in_force": {"state": "limit", "value": "0.5"},
                "wanted": {"state": "limit", "value": "0.500000001"},
                "wanted_by": "override",
                "plan_id": None,
            }
        ],
    }


def test_nothing_capped_wanted_and_no_quota_or_all_null_is_no_difference(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.want({user: dict.fromkeys(FIELDS) for user in ("u3", "u4")})
    assert differences(capsys) == []
    assert apply() == (0, "")
    assert world.writes() == []


def test_what_is_wanted_is_that_of_today(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.want({"u3": {"concurrent": 5}})
    for valid_from, valid_to, is_today in (
        ("current_date", "null", True),
        ("current_date + 1", "null", False),
        ("null", "current_date", False),
        ("current_date - 1", "current_date + 1", True),
    ):
        world.write(f"update marts.dim_desired_quota_limits set valid_from = {valid_from}, valid_to = {valid_to}")
        assert bool(differences(capsys)) == is_today, (valid_from, valid_to)


def test_the_table_shows_ids_as_they_are(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.want({"[red]u[/red]": {"concurrent": 5}, " padded": {"credits": "0.5"}, "u1": {"concurrent": None}})
    assert outcome(["quotas", "diff"])[0] == 3
    shown = capsys.readouterr().out
    for part in ("[red]u[/red]", '" padded"', "unknown", "0.5", "uncapped", "plan pro", "3 of 1,003 users differ"):
        assert part in shown


# Applying


def test_apply_sets_what_is_wanted_keeps_the_rest_and_a_second_run_sends_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.want(
        {
            "u1": {"concurrent": 7},
            "u2": {"credits": None},
            "u3": {"credits": "12345678901.123456789", "sandboxes": 0},
            "u4": {"concurrent": None, "credits": 3},
            "fresh": {"sandboxes": 1},
        }
    )
    assert apply() == (0, "")
    bodies = {path.rpartition("/")[2]: (method, body) for method, path, body, _ in world.api.written}
    assert bodies == {
        "u1": ("PUT", '{"max_concurrent":7,"max_storage_gb":0.5}'),
        "u2": ("DELETE", ""),
        "u3": ("PUT", '{"max_credit_cents":12345678901.123456789,"max_sandboxes":0}'),
        "u4": ("PUT", '{"max_credit_cents":3}'),
        "fresh": ("PUT", '{"max_sandboxes":1}'),
    }
    blank = dict.fromkeys(FIELDS.values())
    assert limits_by_their_client(world.server, "u1") == {**blank, "max_concurrent": 7, "max_storage_gb": 0.5}
    assert limits_by_their_client(world.server, "u2") is None
    assert limits_by_their_client(world.server, "fresh") == {**blank, "max_sandboxes": 1}
    assert world.server.tenant.quotas["u3"]["max_credit_cents"] == Decimal("12345678901.123456789")
    world.writes()
    world.server.requests.clear()
    assert differences(capsys) == []
    assert apply() == (0, "")
    assert not world.server.requests
    newest = query(
        world.warehouse,
        "select http_status, payload from raw.quotas where row_key in ('u2', 'fresh') order by load_id desc, row_key",
    )
    assert [status for status, _ in newest[:2]] == [404, 200]  # the first user is a batch of its own
    # A complete load each, which dbt takes like any other.
    assert query(
        world.warehouse,
        "select count(*) from raw.loads left join (select load_id, count(*) as n from raw.quotas group by all)"
        " using (load_id) where resource = 'quotas' and coalesce(n, 0) <> rows_added",
    ) == [(0,)]


def test_live_limits_that_are_as_wanted_already_are_landed_and_nothing_is_sent(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody set it by hand, or an earlier run was killed before it landed what it read."""
    world.want({"u1": {"concurrent": 9}, "u2": {"credits": None}})
    world.server.tenant.put_quota("u1", {"max_concurrent": 9})
    world.server.tenant.delete_quota("u2")
    assert apply() == (0, "")
    assert "0 users changed, 2 found to be as wanted already" in capsys.readouterr().out
    assert (world.writes(), world.changes()) == ([], [])
    assert differences(capsys) == []


def test_unmanaged_limits_keep_what_is_live_now_not_what_was_landed(world: World) -> None:
    world.want({"u1": {"concurrent": 9}})
    world.server.tenant.put_quota("u1", {"max_concurrent": 2, "max_sandboxes": 44})
    assert apply() == (0, "")
    assert world.server.tenant.quotas["u1"] == {
        "max_concurrent": 9,
        "max_sandboxes": 44,
        "max_storage_gb": None,
        "max_credit_cents": None,
    }


def test_the_older_shape_is_read_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.want({"u1": {"concurrent": 9}})
    with serve(world.server.tenant, Options(api_key=KEY, quota_shape="flat"), world.api) as flat:
        assert apply("--base-url", flat.base_url) == (0, "")
    assert world.server.tenant.quotas["u1"]["max_storage_gb"] == Decimal("0.5")
    assert differences(capsys) == []


def test_hostile_ids_reach_the_right_user_and_no_other(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.want({user: {"concurrent": number} for number, user in enumerate(HOSTILE)})
    before = world.server.tenant.quotas
    assert apply() == (0, "")
    after = world.server.tenant.quotas
    assert {user: limits["max_concurrent"] for user, limits in after.items() if user in HOSTILE} == {
        user: number for number, user in enumerate(HOSTILE)
    }
    assert {user: limits for user, limits in after.items() if user not in HOSTILE} == before
    for number, user in enumerate(HOSTILE):
        assert (limits_by_their_client(world.server, user) or {})["max_concurrent"] == number
    assert differences(capsys) == []
    world.want({user: dict.fromkeys(FIELDS) for user in HOSTILE})
    world.writes()
    assert apply() == (0, "")
    assert {method for method, _ in world.writes()} == {"DELETE"}
    assert world.server.tenant.quotas == before


def test_a_user_that_fails_is_listed_and_the_others_go_on(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.want({user: {"concurrent": 5} for user in ("u1", "u2", "u3", "x" * 8000)})
    world.api.refuse = {"/u2": 422}
    assert apply() == (1, "")
    said = capsys.readouterr()
    assert "2 users changed" in said.out
    assert "2 failed" in said.out
    assert [line.partition(": ")[2].partition(":")[0][:9] for line in said.err.splitlines()] == ["u2", "x" * 9]
    assert "422" in said.err
    outcomes = world.changes("event, row_key, http_status, is_in_force, error is null, payload is null")
    assert [each[1:] for each in outcomes if each[0] == "outcome"] == [
        ("u1", 200, True, True, False),
        ("u2", None, False, False, True),
        ("u3", 200, True, True, False),
    ]
    assert {user for user, *_ in differences(capsys)} == {"u2", "x" * 8000}
    world.api.refuse = {}
    assert apply("--limit", "1") == (0, "")
    assert {user for user, *_ in differences(capsys)} == {"x" * 8000}


def test_an_answer_that_tells_of_other_limits_is_a_failure(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.want({"u1": {"concurrent": 5}})

    async def lie(request: Request, number: int) -> Response | None:
        return Response("{}", 200, media_type="application/json") if request.method == "PUT" else None

    with serve(world.server.tenant, Options(api_key=KEY), lie) as server:
        assert apply("--base-url", server.base_url) == (1, "")
    assert "returned other limits: credits uncapped, concurrent 2" in capsys.readouterr().err
    assert world.changes("event, is_in_force") == [("intent", None), ("outcome", False)]


@pytest.mark.parametrize("pages", [1, 9])
def test_a_web_page_in_answer_to_a_change_is_no_success(
    world: World, capsys: pytest.CaptureFixture[str], pages: int
) -> None:
    """Once: the change is sent again, under the same key. For as long as it is tried: the user has failed."""
    world.want({"u1": {"concurrent": 5}})
    keys: list[str] = []

    async def gateway(request: Request, number: int) -> Response | None:
        if request.method == "PUT":
            keys.append(request.headers["idempotency-key"])
        return Response("<html>", 200, media_type="text/html") if keys and len(keys) <= pages else None

    with serve(world.server.tenant, Options(api_key=KEY), gateway) as server:
        assert apply("--base-url", server.base_url) == (0 if pages == 1 else 1, "")
    assert len(keys) == (2 if pages == 1 else 3)
    assert len(set(keys)) == 1
    assert world.server.tenant.quotas["u1"]["max_concurrent"] == (5 if pages == 1 else 2)
    said = capsys.readouterr()
    assert ("1 users changed" in said.out) == (pages == 1)
    assert ("u1: http" in said.err and "web page" in said.err and "given up after 3 tries" in said.err) == (pages != 1)
    assert world.changes("event, is_in_force") == [("intent", None), ("outcome", True if pages == 1 else None)]


def test_writes_are_tried_again_under_one_idempotency_key(world: World) -> None:
    world.want({"u1": {"concurrent": 5}, "u2": {"credits": None}})
    world.api.failures = 2
    assert apply("--threads", "1") == (0, "")
    keys = [(method, key) for method, _, _, key in world.api.written]
    assert [method for method, _ in keys] == ["PUT", "PUT", "PUT", "DELETE"]
    assert len(set(keys)) == 2
    assert {key for _, key in keys} == {key for (key,) in world.changes("change_id")}


def test_an_answer_that_gets_lost_is_no_failure_where_the_change_took_effect(world: World) -> None:
    world.want({"u1": {"concurrent": 5, "storage_gb": None}})
    world.api.lost, world.api.refuse = 1, {}
    world.server.tenant.put_quota("u1", {"max_concurrent": 2})
    assert apply() == (0, "")
    assert world.server.tenant.quotas["u1"]["max_concurrent"] == 5


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_stops_everything_at_once(
    world: World, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    world.want({f"n{number}": {"concurrent": 5} for number in range(50)})
    world.api.refuse = {"": status}
    assert apply() == (1, "")
    assert len(world.api.written) == 1
    said = capsys.readouterr()
    assert "1 failed, 49 not tried" in said.out
    assert "MIOSA_API_KEY" in said.err
    world.api.reads = {"": status}
    assert apply() == (1, "")
    assert len(world.api.written) == 1


def test_an_api_that_is_away_is_not_waited_for_user_by_user(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.want({f"n{number}": {"concurrent": 5} for number in range(50)})
    assert apply("--base-url", "http://127.0.0.1:9", "--max-tries", "1") == (1, "")
    assert "3 failed, 47 not tried" in capsys.readouterr().out


def test_more_than_a_fifth_of_all_users_takes_force(world: World) -> None:
    wanted = {f"n{number:02d}": {"concurrent": 5} for number in range(21)}
    world.want(wanted, others=79)
    status, line = apply()
    assert status == 1
    assert "21 of 100 users, more than 20 per cent: nothing was changed" in line
    assert world.api.written == []
    assert apply("--limit", "20") == (0, "")  # exactly a fifth
    assert sorted(user for _, user in world.writes()) == sorted(wanted)[:20]
    world.want({user: {"concurrent": 6} for user in wanted}, others=79)
    assert apply("--force") == (0, "")
    assert len(world.writes()) == 21


def test_limit_takes_the_first_users_by_id(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.want({user: {"concurrent": 5, "credits": 5} for user in ("u3", "u1", "u2")})
    assert apply("--limit", "2") == (0, "")
    assert {user for _, user in world.writes()} == {"u1", "u2"}
    assert {user for user, *_ in differences(capsys)} == {"u3"}


def test_without_yes_and_a_terminal_it_is_2(world: World) -> None:
    world.want({"u1": {"concurrent": 5}})
    process = world.process("apply")
    _, complained = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "--yes" in complained
    assert len(complained.splitlines()) == 1
    assert world.api.written == []


def test_what_is_declined_is_not_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.want({"u1": {"concurrent": 5}})
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda text: False)
    assert outcome(["quotas", "apply"]) == (3, "")
    assert world.api.written == []
    monkeypatch.setattr("click.confirm", lambda text: True)
    assert outcome(["quotas", "apply"]) == (0, "")
    assert len(world.api.written) == 1


def test_what_is_no_longer_what_was_shown_is_not_applied(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.want({"u1": {"concurrent": 5}})
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    def confirm(text: str) -> bool:
        world.want({"u1": {"concurrent": 6}})
        return True

    monkeypatch.setattr("click.confirm", confirm)
    status, line = outcome(["quotas", "apply"])
    assert (status, "no longer what was shown" in line) == (1, True)
    assert world.api.written == []


# Killed


@pytest.mark.parametrize("at", [1, 20, pytest.param(66, marks=pytest.mark.slow), 120])
def test_sigkill_in_the_middle_and_a_rerun_is_the_same_end_state(
    world: World, capsys: pytest.CaptureFixture[str], at: int
) -> None:
    wanted = {f"n{number:03d}": {"concurrent": number, "credits": None} for number in range(150)}
    world.want(wanted)
    with serve(world.server.tenant, Options(api_key=KEY, latency_ms=10), world.api) as slow:
        process = world.process("apply", "--yes", "--base-url", slow.base_url)
        while len(world.api.written) < at and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        assert process.returncode == -signal.SIGKILL
    # Every write that arrived was written down before, and each record is whole.
    intents = {key: user for event, key, user in world.changes("event, change_id, row_key") if event == "intent"}
    outcomes = {key for event, key in world.changes("event, change_id") if event == "outcome"}
    assert {key for _, _, _, key in world.api.written} <= set(intents)
    assert outcomes <= set(intents)
    sent = world.writes()
    assert apply() == (0, "")
    quotas = world.server.tenant.quotas
    assert {user: quotas[user]["max_concurrent"] for user in wanted} == {
        user: caps["concurrent"] for user, caps in wanted.items()
    }
    done = {user for _, user in sent[:-16]}  # what was under way may not have been done
    assert done.isdisjoint({user for _, user in world.writes()})
    assert differences(capsys) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_one_line(world: World, number: int, status: int) -> None:
    world.want({f"n{number:03d}": {"concurrent": number} for number in range(150)})
    with serve(world.server.tenant, Options(api_key=KEY, latency_ms=20), world.api) as slow:
        process = world.process("apply", "--yes", "--base-url", slow.base_url)
        while len(world.api.written) < 20 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(number)
        _, complained = process.communicate(timeout=30)
    assert process.returncode == status
    assert complained.splitlines() == [
        "publish: stopped; what was changed before stays changed and is recorded; run again to go on"
    ]


# What is refused


def test_pseudonyms_cannot_be_applied(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.want({"u1": {"concurrent": 5}})
    world.write("insert into raw.settings values ('id_hash_check', 'x')")
    for expected in ("holds pseudonyms", "MIOSA_ID_HASH_KEY is set"):
        status, line = apply()
        assert status == 2
        assert expected in line
        monkeypatch.setenv("MIOSA_ID_HASH_KEY", "0123456789abcdef")
    assert outcome(["quotas", "check", "u1", "--live"])[0] == 2
    assert world.api.written == []


@pytest.mark.parametrize("command", [("diff",), ("apply", "--yes"), ("check", "u1")])
def test_a_warehouse_that_is_missing_or_not_built_says_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    world.write("drop table marts.dim_desired_quota_limits")
    status, line = outcome(["quotas", *command])
    assert (status, "are not built: run `dbt build`" in line) == (1, True)
    monkeypatch.setenv("WAREHOUSE_PATH", str(world.warehouse.with_name("none.duckdb")))
    status, line = outcome(["quotas", *command])
    assert (status, "run `python -m extract`, then `dbt build`" in line) == (1, True)
    assert not world.warehouse.with_name("none.duckdb").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["apply", "--yes", "--limit", "0"], "--limit"),
        (["apply", "--yes", "--base-url", "http://api.example.com"], "https://"),
        (["check"], "USER"),
        (["nothing"], "nothing"),
        (["diff", "--warehouse", "raw.duckdb"], "schema"),
    ],
)
def test_wrong_usage_is_2(world: World, arguments: list[str], word: str) -> None:
    status, line = outcome(["quotas", *arguments])
    assert (status, word in line) == (2, True)


def test_the_canary_key_is_nowhere_and_files_are_the_owners(world: World) -> None:
    """Not in output at its most talkative, not in the warehouse, although the API echoes it."""
    world.want({user: {"concurrent": 5} for user in ("u1", "u2")})
    world.api.refuse = {"/u2": 422}
    process = world.process("apply", "--yes", "--verbose", umask=0)
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "PUT /quotas/external/u1" in complained
    assert "no ***" in complained
    assert KEY not in said + complained
    for path in world.warehouse.parent.rglob("*"):
        assert KEY.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path.name for path in world.warehouse.parent.iterdir()] == ["w.duckdb"]  # the log is folded in


# Headroom


def used(world: World, user: str, **amounts: str) -> None:
    for name in FIELDS:
        world.write(
            "insert into marts.fct_quota_utilization values (?, '2026-10', ?, 2, ?, '2026-10-05 12:00:00')",
            user,
            name,
            Decimal(amounts.get(name, "0")),
        )


def test_check_shows_limits_use_and_headroom(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    used(world, "u1", concurrent="1", credits="7.25", storage_gb="0.499999999")
    assert outcome(["quotas", "check", "u1", "--json"]) == (0, "")
    said = json.loads(capsys.readouterr().out)
    assert (said["source"], said["billing_period"], said["has_headroom"]) == ("warehouse", "2026-10", True)
    assert said["quotas"][1] == {
        "quota": "concurrent",
        "limit": {"state": "limit", "value": "2"},
        "used": "1",
        "headroom": "1",
        "is_reached": False,
        "reached_limit_at_utc": "2026-10-05T12:00:00Z",
    }
    assert (said["quotas"][3]["headroom"], said["quotas"][0]["headroom"]) == ("0.000000001", None)


def test_check_is_3_where_nothing_is_left_and_says_when(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    used(world, "u1", concurrent="2")
    assert outcome(["quotas", "check", "u1"]) == (3, "")
    assert "reached 2026-10-05 12:00:00Z" in capsys.readouterr().out


def test_rule_16_a_limit_of_zero_is_a_block(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.want({"u3": {"sandboxes": 0}})
    assert apply() == (0, "")
    assert outcome(["quotas", "check", "u3"]) == (3, "")
    assert outcome(["quotas", "check", "u4"]) == (0, "")


def test_check_of_a_user_unknown_is_4_and_of_one_never_read_says_so(world: World) -> None:
    assert outcome(["quotas", "check", NOBODY]) == (4, "")
    assert outcome(["quotas", "check", NOBODY, "--live"]) == (4, "")
    assert outcome(["quotas", "check", ".."]) == (4, "")
    world.want({NOBODY: {"concurrent": 5}})
    status, line = outcome(["quotas", "check", NOBODY])
    assert (status, "never read" in line) == (1, True)


def test_check_live_asks_the_api_alone(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.server.tenant.put_sandbox({"id": "b1", "external_user_id": "u5"})
    now = world.server.tenant.now
    running = row("run", f"{now:%Y-%m-%d}", 0, user="u5", cost="1.25")
    world.server.tenant.add_session(running)
    world.server.tenant.put_quota("u5", {"max_concurrent": 1, "max_sandboxes": 2})
    world.server.tenant.put_storage("u5", 3)
    status, line = outcome(["quotas", "check", "u5", "--live", "--json", "--warehouse", "/nowhere/at.all"])
    assert (status, line) == (3, "")
    said = json.loads(capsys.readouterr().out)
    figures = {each["quota"]: (each["used"], each["headroom"]) for each in said["quotas"]}
    assert figures["concurrent"] == ("1", "0")
    assert figures["sandboxes"] == ("1", "1")
    assert figures["storage_gb"] == ("3", None)


# The whole path


SEEDS = {
    "plan_quotas": (
        "plan_id,valid_from,valid_to,max_sandboxes,max_concurrent,max_storage_gb,max_credit_cents\n"
        "starter,2020-01-01,,,3,,0.5\n"
    ),
    "user_plans": "external_user_id,plan_id,valid_from,valid_to\nu1,starter,2020-01-01,\na/b?c,starter,2020-01-01,\n",
    "user_quota_overrides": (
        "external_user_id,valid_from,valid_to,max_sandboxes,max_concurrent,max_storage_gb,max_credit_cents\n"
        "u1,2020-01-01,,,uncapped,,\n"
    ),
}


def test_from_seeds_to_the_vendor_and_back_into_the_marts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = tmp_path / "usage.duckdb"
    seeds = write_seeds(tmp_path / "seeds", **SEEDS)
    tenant = tenant_of([row(f"s{user}", "2026-10-05", user=user) for user in (*USERS, "u5")])
    with serve(tenant, Options(api_key=KEY)) as server:
        for name, value in World(warehouse, server, Api()).environment.items():
            monkeypatch.setenv(name, value)
        assert command("--from", "2026-10", "--window-days", "31", environment=dict(os.environ)).returncode == 0
        build(warehouse, seeds=seeds)
        drifted = "select external_user_id, quota from marts.dim_quota_limits where is_drifted order by all"
        expected = [
            *(("a/b?c", "concurrent"), ("a/b?c", "credits")),
            *(("u1", "concurrent"), ("u1", "credits"), ("u1", "storage_gb")),
        ]
        assert query(warehouse, drifted) == expected
        # Nobody was asked about a user who has used nothing yet, so nobody knows that the rest is uncapped.
        in_short = [(user, quota) for user, quota, *_ in differences(capsys)]
        assert in_short == sorted([*expected, ("a/b?c", "sandboxes"), ("a/b?c", "storage_gb")])
        assert apply("--force") == (0, "")
        # The answers that it landed make the build no older: it may run again at once.
        assert differences(capsys) == []
        assert apply("--force") == (0, "")
        limits = limits_by_their_client(server, "u1")
        assert limits == {**dict.fromkeys(FIELDS.values()), "max_credit_cents": 0.5}
        assert limits_by_their_client(server, "a/b?c") == {**(limits or {}), "max_concurrent": 3}
        models = ("stg_miosa__quotas", "int_quota_limits", "dim_quota_limits")
        build(warehouse, "--exclude-resource-type", "unit_test", "test", "--select", *models, seeds=seeds)
        assert query(warehouse, drifted) == []
        assert query(
            warehouse,
            "select version_number, limit_value, is_current from marts.dim_quota_limits"
            " where external_user_id = 'u1' and quota = 'concurrent' order by all",
        ) == [(1, Decimal(2), False), (2, None, True)]
        status, line = outcome(["quotas", "check", "u1"])
        assert (status, "ran only a part" in line) == (1, True)
        assert outcome(["quotas", "check", "u1", "--allow-unproven"]) == (0, "")
        # The next run of the extractor sees what was set as it sees anything else: nothing is new.
        loads = query(warehouse, "select max(load_id) from raw.loads")[0][0]
        assert command("--from", "2026-10", "--window-days", "31", environment=dict(os.environ)).returncode == 0
        added = f"select sum(rows_added) from raw.loads where resource = 'quotas' and load_id > {loads}"
        assert query(warehouse, added) == [(0,)]


# The vendor's answers, and what is sent


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("5", "5"),
        ('"5.50"', "5.5"),
        ("1e2", "100"),
        ("5E-9", "0.000000005"),
        ("-0", "0"),
        ("0.1000000000", "0.1"),
        ("99999999999999999999.999999999", "99999999999999999999.999999999"),
        ("100000000000000000000", None),
        ("1e-10", None),
        ("1e999999999", None),
        ("-1", None),
        ("true", None),
        ("NaN", None),
        ('"1_000"', None),
        ('""', None),
        ("[1]", None),
    ],
)
@pytest.mark.parametrize("shape", ['{{"data":{{"limits":{{"max_concurrent":{}}}}}}}', '{{"max_concurrent":{}}}'])
def test_a_limit_is_read_as_the_models_read_it(said: str, expected: str | None, shape: str) -> None:
    if expected is None:
        with pytest.raises(ApiError, match="cannot be read"):
            read_quota(200, shape.format(said))
        return
    quota = read_quota(200, shape.format(said))
    assert quota.caps == {"concurrent": Decimal(expected)}
    assert number_text(quota.caps["concurrent"]) == expected
    assert quota_body(quota.caps, {}) == f'{{"max_concurrent":{expected}}}'


def test_limits_that_nobody_here_knows_are_kept() -> None:
    quota = read_quota(200, '{"data":{"limits":{"max_gpus":2.50,"max_rooms":null,"max_concurrent":1},"usage":{}}}')
    assert quota_body({}, quota.others) == '{"max_gpus":2.50}'


@pytest.mark.parametrize("text", ["[]", "{}", '{"data":[]}', '{"limits":[]}', '{"data":{"usage":{}}}', "null"])
def test_an_answer_without_limits_is_none(text: str) -> None:
    with pytest.raises(ApiError):
        read_quota(200, text)
