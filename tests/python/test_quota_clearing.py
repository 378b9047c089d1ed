"""Clearing one limit of several at the vendor, whatever its servers make of a limit that is left out or null."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from core.database.opening import open_for_reading
from publish.cli import outcome
from publish.quotas.interrupted import interrupted_changes
from simulator.app import Options
from simulator.server import serve
from test_extract_support import land, query
from test_publish_quotas import KEY, Api, World, apply, differences, error, landed, tenant_of

__all__ = ["landed"]  # the fixture

SERVERS: dict[str, dict[str, Any]] = {
    "documented": {},
    "documented, refuses null": {"is_null_refused": True},
    "null clears": {"quota_writes": "merge"},
    "null is ignored": {"quota_writes": "keep"},
    "merges and refuses null": {"quota_writes": "merge", "is_null_refused": True},
}
SENT = {
    "documented": ["PUT"],
    "documented, refuses null": ["PUT"],
    "null clears": ["PUT", "PUT"],
    "null is ignored": ["PUT", "PUT", "DELETE", "PUT"],
    "merges and refuses null": ["PUT", "PUT", "DELETE", "PUT"],
}


@dataclass
class CutOff(Api):
    """An API that does not come back from the writes that it is told to hold."""

    holds_after_delete: bool = False
    was_deleted: bool = False

    async def __call__(self, request: Request, number: int) -> Response | None:
        if self.holds_after_delete and self.was_deleted and request.method == "PUT":
            return error(500) if self.refuse else Response("", 500, headers={"Retry-After": "30"})
        self.was_deleted = self.was_deleted or request.method == "DELETE"
        return await super().__call__(request, number)


@pytest.fixture
def opened(tmp_path: Path, landed: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The users of `test_publish_quotas` in a warehouse of their own, at a server with options."""

    @contextmanager
    def open_world(api: Api | None = None, **options: Any) -> Iterator[World]:
        warehouse, api = tmp_path / "w.duckdb", api or Api()
        shutil.copy(landed[0], warehouse)
        with serve(tenant_of(landed[1]), Options(api_key=KEY, **options), api) as server:
            api.server = server
            made = World(warehouse, server, api)
            for name, value in made.environment.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("EXTRACT_MAX_TRIES", "2")
            made.want({})
            yield made

    return open_world


def methods(world: World) -> list[str]:
    """The methods of the changes of u1 that were sent since the last call."""
    return [method for method, user in world.writes() if user == "u1"]


@pytest.mark.parametrize("deleted", ["204", "ok"])
@pytest.mark.parametrize("kind", SERVERS)
def test_one_limit_is_cleared_and_the_others_stay(
    opened: Any, kind: str, deleted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(**SERVERS[kind], quota_deleted=deleted) as world:
        world.want({"u1": {"concurrent": None}})  # the limit on storage is nobody's: it stays
        assert apply() == (0, "")
        assert world.server.tenant.quota("u1")["max_storage_gb"] == Decimal("0.5")
        assert world.server.tenant.quota("u1")["max_concurrent"] is None
        assert methods(world) == SENT[kind]
        assert differences(capsys) == []
        assert apply() == (0, "")
        assert methods(world) == []
        changes = world.changes("event, method, is_in_force, error is null")
        puts = [each for each in changes if each[:2] == ("outcome", "PUT")]
        assert [each[2:] for each in puts] == [(False, False)] * (len(puts) - 1) + [(True, True)]
        assert [event for event, *_ in changes].count("intent") == len(SENT[kind])
        assert [event for event, *_ in changes].count("outcome") == len(SENT[kind])


def test_a_way_that_helped_is_the_first_one_for_further_users(opened: Any) -> None:
    with opened(quota_writes="keep") as world:
        for number in range(5):
            world.server.tenant.put_quota(f"v{number}", {"max_concurrent": 1, "max_sandboxes": 3})
        world.want({f"v{number}": {"concurrent": None, "sandboxes": 4} for number in range(5)})
        assert apply() == (0, "")
        sent = world.writes()
        assert [method for method, user in sent if user == "v0"] == ["PUT", "PUT", "DELETE", "PUT"]
        assert [method for method, user in sent if user == "v4"] == ["DELETE", "PUT"]
        assert world.server.tenant.quota("v4") == {
            "max_concurrent": None,
            "max_sandboxes": 4,
            "max_storage_gb": None,
            "max_credit_cents": None,
        }


def test_without_any_limit_the_quota_is_removed_at_once(opened: Any) -> None:
    with opened(quota_writes="keep", quota_deleted="ok") as world:
        world.want({"u2": {"credits": None}})
        assert apply() == (0, "")
        assert world.writes() == [("DELETE", "u2")]
        assert world.server.tenant.quota("u2") is None


def test_null_is_only_sent_for_what_is_cleared(opened: Any) -> None:
    with opened(quota_writes="keep") as world:
        world.want({"u1": {"concurrent": None, "storage_gb": None, "credits": 7}})
        assert apply() == (0, "")
        bodies = [json.loads(body) for method, _, body, _ in world.api.written if method == "PUT"]
        assert bodies == [
            {"max_credit_cents": 7},
            {"max_credit_cents": 7, "max_concurrent": None, "max_storage_gb": None},
            {"max_credit_cents": 7},
        ]


def test_a_server_that_clears_in_no_way_is_a_failure(opened: Any, capsys: pytest.CaptureFixture[str]) -> None:
    class Stubborn(Api):
        async def __call__(self, request: Request, number: int) -> Response | None:
            if request.method == "DELETE":
                return Response('{"ok":true}', media_type="application/json")
            return await super().__call__(request, number)

    with opened(Stubborn(), quota_writes="keep") as world:
        world.want({"u1": {"concurrent": None}})
        assert apply() == (1, "")
        assert "returned other limits" in capsys.readouterr().err
        assert world.server.tenant.quota("u1")["max_concurrent"] == 2


@pytest.mark.parametrize("how", ["fails", "killed"])
def test_a_change_that_is_cut_off_between_removal_and_setting_is_noticed_and_repaired(
    opened: Any, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The limit on storage is in no seed: after the removal it stands in the intent alone."""
    api = CutOff(holds_after_delete=True, refuse={"nobody": 500} if how == "fails" else {})
    with opened(api, quota_writes="keep") as world:
        world.want({"u1": {"concurrent": None}})
        if how == "fails":
            assert apply()[0] == 1
        else:
            process = world.process("apply", "--yes", start_new_session=True)
            until = time.monotonic() + 60
            while not (api.was_deleted and world.server.tenant.quota("u1") is None):
                assert time.monotonic() < until
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert world.server.tenant.quota("u1") is None
        api.holds_after_delete = False
        # An extraction sees that there is no quota; the limit that was to be cleared differs no longer.
        land(world.server, world.warehouse, look_back_days=0, look_ahead_days=0, window_days=31, MIOSA_API_KEY=KEY)
        capsys.readouterr()
        assert differences(capsys) == [("u1", "storage_gb", {"state": "no_quota", "value": None}, "0.5")]
        assert outcome(["quotas", "diff"])[0] == 3
        assert "kept by an interrupted change" in capsys.readouterr().out
        assert apply() == (0, "")
        assert world.server.tenant.quota("u1")["max_storage_gb"] == Decimal("0.5")
        assert differences(capsys) == []
        assert_nothing_interrupted(world)


def test_a_change_that_was_done_before_the_kill_is_closed_and_never_done_again(
    opened: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(quota_writes="keep") as world:
        world.want({"u1": {"concurrent": None}})
        assert apply() == (0, "")
        # As if the process had been killed before it recorded what came of the last change.
        world.write(
            "delete from raw.quota_changes where event = 'outcome' and change_id ="
            " (select change_id from raw.quota_changes where method = 'PUT' order by rowid desc limit 1)"
        )
        world.write("delete from raw.quotas where load_id = (select max(load_id) from raw.quotas)")
        world.write("delete from raw.quota_reads")
        world.write("delete from raw.loads where load_id > (select max(load_id) from raw.quotas)")
        world.writes()
        assert outcome(["quotas", "diff"])[0] == 3
        assert apply() == (0, "")
        assert world.writes() == []
        assert_nothing_interrupted(world)
        # What somebody clears later stays cleared.
        world.server.tenant.put_quota("u1", {"max_sandboxes": 1})
        land(world.server, world.warehouse, look_back_days=0, look_ahead_days=0, window_days=31, MIOSA_API_KEY=KEY)
        assert differences(capsys) == []


def assert_nothing_interrupted(world: World) -> None:
    with open_for_reading(world.warehouse, 5) as database:
        assert interrupted_changes(database.query) == {}
    # Nothing is ever taken back: each change has its intent first.
    events = query(world.warehouse, "select change_id, list(event order by rowid) from raw.quota_changes group by all")
    assert all(listed[0] == "intent" for _, listed in events)
