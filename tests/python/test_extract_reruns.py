"""What a run reads again: after one that did not finish, and of a time that is known already."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from starlette.requests import Request
from starlette.responses import Response

from core.errors import ApiError, ExtractError
from simulator.server import Server
from test_extract_support import Options, Tenant, current, land, query, row, serve

MONTH = {"look_back_days": 0, "look_ahead_days": 0, "window_days": 1, "threads": 1}
DAYS = 31


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


class FailsOn:
    """Refuses the window that ends on a day, as long as the day is set."""

    day = ""

    async def __call__(self, request: Request, number: int) -> Response | None:
        until = request.query_params.get("until", "")
        return Response("{}", 422) if self.day and until.startswith(self.day) else None


@pytest.fixture
def served() -> Iterator[tuple[Server, FailsOn]]:
    """A month with a session on every day."""
    fails = FailsOn()
    rows = [row(f"s{day:02d}", f"2026-10-{day:02d}") for day in range(1, DAYS + 1)]
    with serve(Tenant.from_rows(rows), Options(), fails) as server:
        yield server, fails


def windows_asked(server: Server) -> list[str]:
    """The ends of the windows that were asked for since the last call."""
    asked = [query["until"][:10] for _, path, query in server.requests if path.endswith("/usage/sessions")]
    server.requests.clear()
    return asked


def stop_on(served: tuple[Server, FailsOn], warehouse: Path, day: str) -> None:
    """A run that fails on a day."""
    server, fails = served
    fails.day = day
    with pytest.raises(ApiError):
        land(server, warehouse, **MONTH)
    fails.day = ""
    assert 0 < len(windows_asked(server)) < DAYS


def test_a_rerun_goes_on_with_the_windows_that_a_stopped_run_had_not_landed(
    served: tuple[Server, FailsOn], warehouse: Path
) -> None:
    server, _ = served
    stop_on(served, warehouse, "2026-10-21")
    landed = {f"{end:%Y-%m-%d}" for (end,) in query(warehouse, "select window_end_at_utc from raw.loads")}
    assert landed
    assert land(server, warehouse, **MONTH).voids == 0
    ends = {f"2026-10-{day:02d}" for day in range(2, 32)} | {"2026-11-01"}
    assert set(windows_asked(server)) == ends - landed
    assert len(current(warehouse)) == DAYS
    # A run that has finished is followed by one that reads everything.
    land(server, warehouse, **MONTH)
    assert len(windows_asked(server)) == DAYS
    for table in ("unfinished_run", "listed_sessions", "noted_loads"):
        assert query(warehouse, f"select count(*) from raw.{table}") == [(0,)]


def test_a_rerun_voids_what_neither_run_listed(served: tuple[Server, FailsOn], warehouse: Path) -> None:
    server, _ = served
    land(server, warehouse, **MONTH)
    windows_asked(server)
    server.tenant.remove_session("s03")
    stop_on(served, warehouse, "2026-10-21")
    assert land(server, warehouse, **MONTH).voids == 1
    assert current(warehouse)["s03"] is None


@pytest.mark.parametrize("shift", ["- interval 1 day", "+ interval 1 day"])
def test_windows_of_a_day_ago_or_by_a_clock_ahead_are_read_again(
    served: tuple[Server, FailsOn], warehouse: Path, shift: str
) -> None:
    server, _ = served
    stop_on(served, warehouse, "2026-10-21")
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(f"update raw.unfinished_run set began_at_utc = began_at_utc {shift}")
    land(server, warehouse, **MONTH)
    assert len(windows_asked(server)) == DAYS


def test_a_run_that_found_too_many_voids_is_followed_by_one_that_reads_everything(
    served: tuple[Server, FailsOn], warehouse: Path
) -> None:
    """What it read may have been wrong."""
    server, _ = served
    land(server, warehouse, **MONTH)
    for day in range(1, 16):
        server.tenant.remove_session(f"s{day:02d}")
    with pytest.raises(ExtractError, match="no longer lists 15 of"):
        land(server, warehouse, **MONTH)
    windows_asked(server)
    for day in range(1, 16):
        server.tenant.add_session(row(f"s{day:02d}", f"2026-10-{day:02d}"))
    assert land(server, warehouse, **MONTH).voids == 0
    assert len(windows_asked(server)) == DAYS


def test_known_days_with_few_sessions_share_a_window(served: tuple[Server, FailsOn], warehouse: Path) -> None:
    server, _ = served
    options = {name: value for name, value in MONTH.items() if name != "window_days"} | {"window_days": None}
    land(server, warehouse, **options)
    assert len(windows_asked(server)) == DAYS
    server.tenant.remove_session("s03")
    assert land(server, warehouse, **options).voids == 1
    assert len(windows_asked(server)) == 1
    windows = query(warehouse, "select window_start_at_utc, window_end_at_utc from raw.loads order by load_id desc")
    assert (datetime(2026, 10, 1), datetime(2026, 11, 1)) in windows
    assert land(server, warehouse, **options, page_size=1).voids == 0
    assert len(windows_asked(server)) > 30
