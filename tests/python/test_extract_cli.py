"""`python -m extract` as users run it: exit status, one clear line, the key nowhere, signals, the file's safety."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import duckdb
import pytest

from core import command_line
from core.errors import ConfigurationError, ExtractError
from extract import cli
from extract.cli import outcome
from extract.settings import Settings
from simulator.server import Server
from test_extract_support import (
    ROOT,
    Options,
    Response,
    Script,
    Tenant,
    command,
    current,
    query,
    row,
    serve,
    settings_for,
)

KEY = "msk_canary_0123456789"
MONTH = ("--from", "2026-10", "--window-days", "31", "--look-ahead-days", "0")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(Tenant.from_rows([row("a", "2026-10-05")]), Options(api_key=KEY)) as running:
        yield running


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


def environment(server: Server | str, warehouse: Path, key: str = KEY) -> dict[str, str]:
    url = server if isinstance(server, str) else server.base_url
    return {"MIOSA_API_KEY": key, "MIOSA_BASE_URL": url, "WAREHOUSE_PATH": str(warehouse)}


def fails(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    """A failure is its status and one line on standard error, without a traceback or the key."""
    assert done.returncode == status, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("extract: ")
    for word in words:
        assert word in lines[0]
    assert KEY not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_run_ends_with_a_summary_and_is_otherwise_silent(server: Server, warehouse: Path) -> None:
    done = command(*MONTH, environment=environment(server, warehouse))
    assert (done.returncode, done.stderr) == (0, "")
    planned, summary = done.stdout.splitlines()
    assert planned.startswith("at least ")
    assert "requests" in planned
    assert "not known" in planned
    for part in ("rows listed", "added", "0 sessions voided", "dbt build"):
        assert part in summary


def test_a_bar_shows_windows_rows_and_rate_on_a_terminal(server: Server, warehouse: Path) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [sys.executable, "-m", "extract", *MONTH],
            env={**os.environ, **environment(server, warehouse), "PYTHONPATH": str(ROOT), "TERM": "xterm"},
            stderr=theirs,
            stdout=subprocess.DEVNULL,
        )
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal that nobody writes to any more reads on Linux
            while chunk := terminal.read(65536):
                shown += chunk
        assert process.wait(timeout=30) == 0
    for part in (b"sessions", b"1 rows", b"/s", b"requests/min", b"left", b"quotas"):
        assert part in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "2026-13"], ["--from", "2026-10"]),
        (["--from", "october"], ["--from"]),
        (["--from", "2026-10", "--to", "2026-09"], ["after"]),
        (["--from", "2099-01"], ["has not begun"]),
        (["--from"], ["--from"]),
        (["--threads", "many"], ["--threads"]),
        (["--page-size", "0"], ["--page-size"]),
        (["--api-key", KEY], ["--api-key"]),
        (["--base-url", "http://api.example.com"], ["api.example.com", "https://"]),
        (["--base-url", "https://user:secret@api.example.com"], ["MIOSA_API_KEY"]),
        (["--base-url", "api.example.com"], ["MIOSA_BASE_URL"]),
        (["--warehouse", "raw.duckdb"], ["schema"]),
        (["--warehouse", ":memory:"], ["WAREHOUSE_PATH", "no file"]),
        (["--warehouse", ":memory:other"], ["WAREHOUSE_PATH", "no file"]),
        (["--warehouse", "md:usage"], ["WAREHOUSE_PATH", "no file"]),
        (["--warehouse", "./md:usage"], ["WAREHOUSE_PATH", "no file"]),
        (["--warehouse", "ducklake:usage.ducklake"], ["WAREHOUSE_PATH", "no file"]),
        (["--warehouse", "s3://bucket/w.duckdb"], ["WAREHOUSE_PATH", "no file"]),
        (["--warehouse", ""], ["WAREHOUSE_PATH", "no file"]),
        (["--warehouse", " "], ["WAREHOUSE_PATH", "no file"]),
    ],
)
def test_bad_usage_is_2_before_any_request(
    server: Server, warehouse: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    before = len(server.requests)
    for name, value in environment(server, warehouse).items():
        monkeypatch.setenv(name, value)
    status, line = outcome(arguments)
    assert status == 2
    assert all(word in line for word in words)
    assert "\n" not in line
    assert "secret" not in line
    assert KEY not in line
    assert len(server.requests) == before
    assert not warehouse.exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("EXTRACT_THREADS", "many", "--threads"),
        ("EXTRACT_THREADS", "", "--threads"),
        ("EXTRACT_MAX_SECONDS", "nan", "--max-seconds"),
        ("EXTRACT_VOID_SHARE", "100.5", "--void-share"),
        ("EXTRACT_ALLOW_VOIDS", "perhaps", "--allow-voids"),
        ("EXTRACT_LAST_MONTH", "2026", "--to"),
        ("MIOSA_BASE_URL", "", "MIOSA_BASE_URL"),
        ("WAREHOUSE_PATH", "ledger.duckdb", "WAREHOUSE_PATH"),
        ("WAREHOUSE_PATH", "", "WAREHOUSE_PATH"),
        ("WAREHOUSE_PATH", "md:", "WAREHOUSE_PATH"),
    ],
)
def test_the_environment_is_held_to_the_same_rules(
    server: Server, warehouse: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    for each, given in {**environment(server, warehouse), name: value}.items():
        monkeypatch.setenv(each, given)
    status, line = outcome([*MONTH[:2]])
    assert status == 2
    assert words in line


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of runs, none of which is begun."""
    told: list[Settings] = []

    def run(settings: Settings) -> NoReturn:
        told.append(settings)
        raise ConfigurationError("enough")

    monkeypatch.setattr(cli, "_run", run)
    return told


def test_an_option_goes_before_the_environment_and_that_before_the_default(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch, told: list[Settings]
) -> None:
    more = {
        "EXTRACT_THREADS": "7",
        "EXTRACT_PAGE_SIZE": "8",
        "EXTRACT_VERBOSE": "true",
        "EXTRACT_BASE_URL": "https://a",
    }
    for name, value in {**environment("https://api.example.com", warehouse), **more}.items():
        monkeypatch.setenv(name, value)
    assert outcome([*MONTH, "--threads", "9"])[0] == 2
    (settings,) = told
    assert (settings.threads, settings.page_size, settings.window_days, settings.max_tries) == (9, 8, 31, 12)
    assert settings.verbose
    assert (settings.base_url, settings.warehouse) == ("https://api.example.com/api/v1", warehouse)
    assert KEY not in repr(settings) + str(vars(settings))


def test_bad_usage_is_one_line_of_a_process(server: Server, warehouse: Path) -> None:
    fails(command("--from", "2026-13", environment=environment(server, warehouse)), 2, "--from")


@pytest.mark.parametrize("key", [None, "", "msk_a\nb", "msk_é", "msk a", f"{KEY}\n"])
def test_a_key_that_is_missing_or_unusable_is_2_and_not_shown(
    server: Server, warehouse: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    for name, value in {**environment(server, warehouse, key or ""), "EXTRACT_API_KEY": KEY, "API_KEY": KEY}.items():
        monkeypatch.setenv(name, value)
    if key is None:
        monkeypatch.delenv("MIOSA_API_KEY")
    status, line = outcome([*MONTH])
    assert status == 2
    assert "MIOSA_API_KEY" in line
    assert "\n" not in line
    assert not key or not key.strip() or key.strip() not in line


def test_a_missing_key_is_one_line_of_a_process(warehouse: Path) -> None:
    fails(command(*MONTH, environment={"WAREHOUSE_PATH": str(warehouse)}), 2, "MIOSA_API_KEY")


def test_a_wrong_key_is_1(server: Server, warehouse: Path) -> None:
    fails(command(*MONTH, environment=environment(server, warehouse, KEY + "x")), 1, "MIOSA_API_KEY", "401")


@pytest.mark.parametrize("url", ["https://no-such-host.invalid", "http://127.0.0.1:9"])
def test_a_host_that_is_not_there_is_1_and_soon(warehouse: Path, url: str) -> None:
    fails(command(*MONTH, environment=environment(url, warehouse)), 1, url.partition("//")[2], "MIOSA_BASE_URL")


def test_a_wrong_base_url_is_1(server: Server, warehouse: Path) -> None:
    url = server.base_url.replace("/api/v1", "/other")
    fails(command(*MONTH, environment=environment(url, warehouse)), 1, "404", "/other/api/v1", "base URL")


def test_the_base_url_may_come_with_or_without_its_path(tmp_path: Path) -> None:
    for given in ("https://api.example.com", "https://api.example.com/", "https://api.example.com/api/v1/"):
        assert settings_for(given, tmp_path / "w.duckdb").base_url == "https://api.example.com/api/v1"


def test_one_month_alone_means_that_month_and_the_last_whole_one_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    for given in ({"first_month": "2026-09", "last_month": None}, {"first_month": None, "last_month": "2026-09"}):
        settings = settings_for("https://api.example.com", path, **given)
        assert (settings.start, settings.end) == (datetime(2026, 9, 1), datetime(2026, 10, 1))
    settings = settings_for("https://api.example.com", path, first_month=None)
    this_month = datetime.now(UTC).replace(tzinfo=None, day=1, hour=0, minute=0, second=0, microsecond=0)
    assert settings.end == this_month
    assert settings.start == (this_month - timedelta(days=1)).replace(day=1)


def test_first_contact_has_tries_of_its_own_unless_they_are_given(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch, told: list[Settings]
) -> None:
    for name, value in environment("https://api.example.com", warehouse).items():
        monkeypatch.setenv(name, value)
    outcome([*MONTH])
    outcome([*MONTH, "--max-tries", "12"])
    monkeypatch.setenv("EXTRACT_MAX_TRIES", "9")
    outcome([*MONTH])
    assert [(settings.max_tries, settings.first_contact_tries) for settings in told] == [(12, 5), (12, 12), (9, 9)]


# What is said last


class Full:
    """A stream that takes nothing."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, text: str) -> NoReturn:
        raise self.error

    def flush(self) -> None:
        """Nothing is left to be written."""


FULL, LEFT, CLOSED = OSError(28, "No space left on device"), BrokenPipeError(32, "Broken pipe"), ValueError("closed")


@pytest.mark.parametrize("error", [FULL, LEFT, CLOSED])
def test_what_was_done_needs_nobody_to_be_told(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(sys, "stdout", Full(error))
    monkeypatch.setattr(sys, "stderr", Full(error))
    command_line.say("done")
    command_line.say("done", err=True)


def test_what_was_asked_for_needs_somebody_who_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Full(LEFT))
    command_line.show("a table")  # its reader has seen enough
    for error, why in ((FULL, "No space left on device"), (CLOSED, "closed")):
        monkeypatch.setattr(sys, "stdout", Full(error))
        with pytest.raises(ExtractError, match=f"cannot write to standard output \\({why}\\)"):
            command_line.show("a table")


# The key


@pytest.mark.parametrize("kind", ["", "u_", "a_", "p_", "live_"])
def test_a_canary_key_appears_nowhere(tmp_path: Path, kind: str) -> None:
    """Not in output, at its most talkative; not in the warehouse or beside it, even if the API echoes it."""
    key = KEY.replace("msk_", f"msk_{kind}")
    echo = Response(f'{{"error":{{"message":"bad key {key}","request_id":"{key}"}}}}', 422)
    script = Script("/usage/summary", echo)
    with serve(Tenant.from_rows([row("a", "2026-10-05")]), Options(api_key=key), script) as running:
        settings = {**environment(running, tmp_path / "w.duckdb"), "MIOSA_API_KEY": key}
        done = command(*MONTH, "--verbose", environment=settings)
    assert done.returncode == 1
    assert "GET /usage/summary" in done.stderr
    assert "bad key ***" in done.stderr
    assert key not in done.stderr + done.stdout
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or key.encode() not in path.read_bytes()


def test_a_key_that_is_echoed_in_an_answer_that_is_kept_is_not_landed(tmp_path: Path) -> None:
    kept = Script("/u1", Response(f'{{"error":{{"message":"no quota for {KEY}"}}}}', 404))
    warehouse = tmp_path / "w.duckdb"
    with serve(Tenant.from_rows([row("a", "2026-10-05")]), Options(api_key=KEY), kept) as running:
        done = command(*MONTH, "--verbose", environment=environment(running, warehouse))
    assert done.returncode == 0, done.stderr
    assert KEY[:8] not in done.stderr + done.stdout
    assert query(warehouse, "select payload from raw.quotas") == [('{"error":{"message":"no quota for ***"}}',)]
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_a_key_that_is_echoed_where_words_are_cut_is_not_shown_in_part(tmp_path: Path) -> None:
    cut = Script("/usage/summary", Response(f'{{"error":{{"message":"{"x" * 290}{KEY}"}}}}', 422))
    with serve(Tenant.from_rows([row("a", "2026-10-05")]), Options(api_key=KEY), cut) as running:
        done = command(*MONTH, "--verbose", environment=environment(running, tmp_path / "w.duckdb"))
    assert done.returncode == 1
    assert "xxx***" in done.stderr
    assert KEY[:8] not in done.stderr + done.stdout
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


# The file


def test_a_link_to_nothing_is_refused_and_left_alone(server: Server, tmp_path: Path) -> None:
    """The file is elsewhere, perhaps on a disk that is not there: a new one in its place would hide that."""
    before = len(server.requests)
    link, target = tmp_path / "w.duckdb", tmp_path / "disk" / "real.duckdb"
    target.parent.mkdir()
    link.symlink_to(target)
    fails(command(*MONTH, environment=environment(server, link)), 1, f"{link} is a link to {target}", "bring that file")
    assert len(server.requests) == before
    assert link.is_symlink()
    assert not target.exists()
    duckdb.connect(str(target)).close()
    assert command(*MONTH, environment=environment(server, link)).returncode == 0
    assert link.is_symlink()
    assert set(current(target)) == {"a"}


def test_only_the_owner_can_read_the_warehouse(server: Server, warehouse: Path) -> None:
    before = os.umask(0)
    try:
        for _ in range(2):
            assert command(*MONTH, environment=environment(server, warehouse)).returncode == 0
            assert stat.S_IMODE(warehouse.stat().st_mode) == 0o600
            warehouse.chmod(0o644)
    finally:
        os.umask(before)


@pytest.mark.parametrize("content", [b"", b"not a database at all", b"\0" * 8 + b"DUCK" + b"\1" * 5000])
def test_a_file_that_is_no_warehouse_is_refused_and_left_alone(server: Server, warehouse: Path, content: bytes) -> None:
    before = len(server.requests)
    warehouse.write_bytes(content)
    fails(command(*MONTH, environment=environment(server, warehouse)), 1, str(warehouse))
    assert warehouse.read_bytes() == content
    assert len(server.requests) == before


def test_a_folder_that_is_not_there_is_noticed_before_the_first_request(server: Server, tmp_path: Path) -> None:
    before = len(server.requests)
    fails(command(*MONTH, environment=environment(server, tmp_path / "no" / "w.duckdb")), 1, "WAREHOUSE_PATH")
    assert len(server.requests) == before


def test_a_file_that_another_process_holds_is_waited_for_and_its_holder_named(server: Server, warehouse: Path) -> None:
    duckdb.connect(str(warehouse)).close()
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        holder.stdout.readline()
        began = time.monotonic()
        done = command(*MONTH, "--lock-seconds", "1", environment=environment(server, warehouse))
        fails(done, 1, f"process {holder.pid}")
        assert time.monotonic() - began > 1
        holder.stdin.close()


# Signals


def start(server: Server, warehouse: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "extract", "--from", "2026-10", "--threads", "2"],
        env={**os.environ, **environment(server, warehouse), "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
)
def test_a_signal_leaves_whole_loads_and_a_file_that_opens(warehouse: Path, number: int, status: int) -> None:
    rows = [row(f"s{n}", f"2026-10-{n % 28 + 1:02d}") for n in range(200)]
    with serve(Tenant.from_rows(rows), Options(api_key=KEY, latency_ms=60)) as running:
        process = start(running, warehouse)
        while len(running.requests) < 12:
            time.sleep(0.02)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
        assert process.returncode == status
        if number != signal.SIGKILL:
            assert stderr.splitlines() == ["extract: stopped; what was landed before stays, the rest was rolled back"]
        whole = query(
            warehouse,
            "select count(*) from raw.loads left join (select load_id, count(*) as rows from raw.usage_sessions "
            "group by 1) as landed using (load_id) where coalesce(landed.rows, 0) <> rows_added",
        )
        assert whole == [(0,)]
    with serve(Tenant.from_rows(rows), Options(api_key=KEY)) as running:
        assert command(*MONTH, environment=environment(running, warehouse)).returncode == 0
    assert query(warehouse, "select count(*), count(distinct row_key) from raw.usage_sessions") == [(200, 200)]


def test_an_unexpected_error_is_one_line_too(server: Server, warehouse: Path, tmp_path: Path) -> None:
    """A warehouse whose raw layer is not ours: DuckDB's refusal comes out as one line."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema raw; create table raw.loads (x integer)")
    fails(command(*MONTH, environment=environment(server, warehouse)), 1, str(warehouse))
