"""What the extractor's tests share: rows, runs in this process and in a real one, and what raw holds afterwards.

It holds no test of its own; its name keeps it beside those that use it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest
from starlette.requests import Request
from starlette.responses import Response

from core.api.client import Client
from core.api.transport import proxy_for
from core.progress import bars
from extract.context import RunContext, Summary
from extract.pseudonyms import Pseudonyms
from extract.run import land_everything
from extract.settings import Settings, read_settings
from extract.warehouse import Warehouse
from simulator import Options, Tenant, serve
from simulator.app import DEFAULT_API_KEY
from simulator.server import Server

ROOT = Path(__file__).resolve().parents[2]


# Windows of a week: a test that does not look at windows need not wait for a hundred requests.
_FEW_WINDOWS = {"first_month": "2026-10", "window_days": 7, "threads": 4}


def row(name: str, day: str, hours: int = 1, *, user: str | None = "u1", cost: str = "0.10", **more: Any) -> str:
    """A session's JSON text that starts at noon of `day` (or at a full time) and lasts so many hours; 0 runs on."""
    start = day if "T" in day else f"{day}T12:00:00Z"
    whole, rest = int(start[11:13]) + hours, start[13:]
    end = f'"{start[:11]}{whole:02d}{rest}"' if hours else "null"
    owner = "null" if user is None else f'"{user}"'
    extra = "".join(f',"{key}":{value}' for key, value in more.items())
    return (
        f'{{"id":"{name}","computer_id":"c1","external_user_id":{owner},"started_at":"{start}","ended_at":{end},'
        f'"credit_cost":{cost}{extra}}}'
    )


def settings_for(server: str, warehouse: Path, **options: Any) -> Settings:
    """Settings for a run in this process. What is in capitals stands in the environment."""
    environment = {name: options.pop(name) for name in [*options] if name.isupper()}
    with mock.patch.dict(os.environ, {"MIOSA_API_KEY": DEFAULT_API_KEY, **environment}):
        return read_settings(**{**_FEW_WINDOWS, "base_url": server, "warehouse": warehouse, **options})


def land(server: Server | str, warehouse: Path, **options: Any) -> Summary:
    """Run the extractor in this process."""
    address = server if isinstance(server, str) else server.base_url
    settings = settings_for(address, warehouse, **options)
    pseudonyms = Pseudonyms.of_settings(settings)
    check = pseudonyms.check_value if pseudonyms else None
    with Warehouse(warehouse, 0, check) as held, Client(settings) as client, bars() as shown:
        return land_everything(RunContext(settings, client, held, shown, pseudonyms))


def land_rows(rows: list[str], warehouse: Path, options: Options | None = None, **settings: Any) -> Summary:
    """Serve these sessions, and run the extractor on them in this process."""
    with serve(Tenant.from_rows(rows), options) as server:
        return land(server, warehouse, **settings)


def command(
    *arguments: str, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m extract` as a user does."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "SYSTEMROOT") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "extract", *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), **(environment or {})},
        cwd=folder or ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def query(warehouse: Path, sql: str) -> list[tuple[Any, ...]]:
    """Read from a warehouse that nobody holds."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def current(warehouse: Path, table: str = "usage_sessions") -> dict[str, str | None]:
    """The payload of each key's current version."""
    return dict(
        query(
            warehouse,
            f"select row_key, payload from raw.{table} "
            "qualify row_number() over (partition by row_key order by load_id desc, row_number desc) = 1",
        )
    )


def versions(warehouse: Path, key: str) -> list[str | None]:
    """All of one session's versions, oldest first; a void is None."""
    sql = f"select payload from raw.usage_sessions where row_key = '{key}' order by load_id, row_number"
    return [payload for (payload,) in query(warehouse, sql)]


class Script:
    """A hand-written API: answers requests to one path by a list of answers, the last one for ever."""

    def __init__(self, path: str, *answers: Response | bytes | str) -> None:
        """Answer `path` (its end is enough) so; everything else is left to the simulator."""
        self.path = path
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []

    async def __call__(self, request: Request, number: int) -> Response | None:
        """The simulator's `fault` seam."""
        if not request.url.path.endswith(self.path):
            return None
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(dict(request.query_params))
        return answer if isinstance(answer, Response) else Response(answer, media_type="application/json")


@contextmanager
def scripted(
    path: str, *answers: Response | bytes | str, rows: list[str] | None = None
) -> Iterator[tuple[str, Script]]:
    """A simulator whose `path` is answered by a script."""
    script = Script(path, *answers)
    with serve(Tenant.from_rows(rows or []), Options(), script) as server:
        yield server.base_url, script


__all__ = ["Options", "Response", "Script", "Tenant", "serve"]


@pytest.mark.parametrize(
    ("environment", "base_url", "proxy"),
    [
        ({}, "https://api.example.com/api/v1", None),
        ({"HTTPS_PROXY": "http://proxy:8080"}, "https://api.example.com/api/v1", "http://proxy:8080"),
        ({"HTTPS_PROXY": "proxy:8080"}, "https://api.example.com/api/v1", "http://proxy:8080"),
        ({"ALL_PROXY": "http://proxy:8080"}, "https://api.example.com/api/v1", "http://proxy:8080"),
        ({"HTTP_PROXY": "http://proxy:8080"}, "https://api.example.com/api/v1", None),
        ({"HTTPS_PROXY": "http://proxy:8080", "NO_PROXY": "example.com"}, "https://api.example.com/api/v1", None),
        ({"HTTP_PROXY": "http://proxy:8080", "ALL_PROXY": "http://proxy:8080"}, "http://127.0.0.1:80/api/v1", None),
    ],
)
def test_the_proxy_is_the_environments_but_never_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], base_url: str, proxy: str | None
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        for spelling in (name, name.lower()):
            monkeypatch.delenv(spelling, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(base_url) == proxy
