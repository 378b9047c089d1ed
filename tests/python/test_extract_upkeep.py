"""The file itself: where it may be, how it comes into being, who holds it, and what it holds when a run is over."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import pytest

from core.database.checkpoint import NEVER_CHECKPOINT, CheckpointProcess
from core.database.locks import holder, open_when_free
from core.database.opening import create_database, hold_for_dbt
from core.database.path import check_database_path, database_name
from core.errors import ConfigurationError, WarehouseError
from pipeline import dbt, extract, query, start_dbt
from simulator.server import serve
from tenants import Span, seeded_rows


def test_after_a_run_the_file_alone_holds_everything(tmp_path: Path) -> None:
    warehouse = tmp_path / "usage.duckdb"
    with serve(seeded_rows(1, 100, clock_ends=False).tenant()) as server:
        extract(server.base_url, warehouse, span=Span())
    assert [path.name for path in tmp_path.iterdir()] == ["usage.duckdb"]
    copied = tmp_path / "copied.duckdb"
    shutil.copy(warehouse, copied)
    assert query(copied, "select count(*) > 100 as is_whole from raw.loads") == [{"is_whole": True}]


def leave_a_large_log(warehouse: Path) -> None:
    """As a killed build of a long history does: rows are deleted in many groups of rows, and nothing is folded in."""
    with closing(duckdb.connect(config={**NEVER_CHECKPOINT})) as connection:
        connection.execute(f"attach '{warehouse}' as large (row_group_size 2048)")
        connection.execute("create schema large.history; create table large.history.rows as from range(3_000_000)")
        connection.execute("checkpoint large; pragma disable_checkpoint_on_shutdown")
        connection.execute("delete from large.history.rows where range % 2000 = 0")
    with pytest.raises(duckdb.OutOfMemoryException):  # more than a run takes
        duckdb.connect(str(warehouse), config={"memory_limit": "200MB", **NEVER_CHECKPOINT})


def test_a_large_log_that_a_build_left_is_folded_in_before_a_run(tmp_path: Path) -> None:
    warehouse = tmp_path / "usage.duckdb"
    create_database(warehouse)
    leave_a_large_log(warehouse)
    with serve(seeded_rows(1, 100, clock_ends=False).tenant()) as server:
        extract(server.base_url, warehouse, span=Span())
    assert [path.name for path in tmp_path.iterdir()] == ["usage.duckdb"]
    assert query(warehouse, "select count(*) as rows from history.rows") == [{"rows": 2_998_500}]


def test_a_large_log_is_folded_in_when_dbt_ends(tmp_path: Path) -> None:
    warehouse = tmp_path / "usage.duckdb"
    create_database(warehouse)
    leave_a_large_log(warehouse)
    assert dbt(warehouse, "show", "--inline", "select count(*) from history.rows").returncode == 0
    assert not list(tmp_path.glob("*.wal"))
    assert query(warehouse, "select count(*) as rows from history.rows") == [{"rows": 2_998_500}]


def test_a_half_made_file_of_a_killed_run_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "usage.duckdb.new").write_bytes(b"half")
    create_database(tmp_path / "usage.duckdb")
    assert [path.name for path in tmp_path.iterdir()] == ["usage.duckdb"]
    duckdb.connect(str(tmp_path / "usage.duckdb")).close()


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "usage.duckdb").write_bytes(b"anything")
    create_database(tmp_path / "usage.duckdb")
    assert (tmp_path / "usage.duckdb").read_bytes() == b"anything"


def test_a_log_without_its_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "usage.duckdb.wal").write_bytes(b"log")
    with pytest.raises(WarehouseError, match="bring that file back, or move the log away"):
        create_database(tmp_path / "usage.duckdb")
    assert not (tmp_path / "usage.duckdb").exists()


def test_nothing_is_folded_without_a_word(tmp_path: Path) -> None:
    with CheckpointProcess(tmp_path / "usage.duckdb"):
        pass
    assert not list(tmp_path.iterdir())


# Its name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *((name, "named like the schema") for name in ("raw", "build_state.duckdb", "Seeds.DuckDB", "SYSTEM.db")),
        *(
            (name, "named like the schema")
            for name in ("build_state.2026.duckdb", ".raw", ".Raw.db", "raw.", "raw..db")
        ),
        *((name, "names no file") for name in ("..", "...", ". .")),
        *((name, "named like the schema") for name in ("memory.duckdb", "pg_catalog.duckdb", "dbt_test__audit.duckdb")),
        *((f"a{character}b.duckdb", f"holds {character} ") for character in "\"';?#\\"),
        *((f"a{character}b/w.duckdb", f"holds {character} ") for character in "?#\\"),
        *((f"a{character}b/w.duckdb", "line break") for character in "\n\t\0\x7f\u2028\udcff"),
        ("x" * 245 + ".db", "too long"),
        ("é" * 122 + ".duckdb", "too long"),
    ],
)
def test_names_that_duckdb_or_dbt_take_for_another_are_refused(name: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match="WAREHOUSE_PATH") as caught:
        check_database_path(Path("/data") / name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a.b.duckdb", ".duckdb", "..x", "x.raw", "UPPER.db", "a b", "-dash.duckdb", "1.2", "a."]
)
def test_a_database_has_the_name_that_duckdb_gives_it(tmp_path: Path, name: str) -> None:
    check_database_path(tmp_path / name)
    with closing(duckdb.connect(str(tmp_path / name))) as connection:
        assert connection.execute("select current_database()").fetchone() == (database_name(tmp_path / name),)


def test_what_the_path_is_relative_to_counts_where_the_log_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, is_fine in (("C#", True), ("what?", False)):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        if is_fine:
            check_database_path(Path("w.duckdb"))
        else:
            with pytest.raises(ConfigurationError, match=r"holds \? "):
                check_database_path(Path("w.duckdb"))


def test_every_other_name_works_in_both_commands(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s "q" ü {{x}} 50%;&$(id)'
    folder.mkdir()
    warehouse = folder / "a b%20é😀`$x.y.duckdb"
    with serve(seeded_rows(1, 20, clock_ends=False).tenant()) as server:
        extract(server.base_url, warehouse, span=Span())
    done = dbt(warehouse, "build", "--select", "stg_miosa__loads", "--indirect-selection", "cautious")
    assert done.returncode == 0, done.stdout
    assert query(warehouse, "select count(*) > 0 as is_built from staging.stg_miosa__loads") == [{"is_built": True}]
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [warehouse.name]


def test_dbt_refuses_a_name_in_one_line_before_it_makes_the_file(tmp_path: Path) -> None:
    warehouse = tmp_path / "Touched.duckdb"
    # It need not be parsed for that name: dbt gets no further.
    named = {"WAREHOUSE_PATH": str(warehouse)}
    done = dbt(tmp_path / "usage.duckdb", "run-operation", "backup_ledger", environment=named)
    assert done.returncode != 0
    assert "named like the schema 'Touched'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not warehouse.exists()


@pytest.mark.parametrize("content", [b"", b"not a database at all"])
def test_dbt_refuses_what_is_no_database_in_one_line(tmp_path: Path, content: bytes) -> None:
    warehouse = tmp_path / "usage.duckdb"
    warehouse.write_bytes(content)
    done = dbt(warehouse, "run-operation", "backup_ledger")
    assert done.returncode != 0
    assert f"{warehouse} is " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert warehouse.read_bytes() == content


# Who holds it

_HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only={}); print(1, flush=True); sys.stdin.read()"


@contextmanager
def held(warehouse: Path, *, read_only: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A warehouse that another process has open. It is let go where that process's standard input is closed."""
    arguments = [sys.executable, "-c", _HOLD.format(read_only), str(warehouse)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        yield process
        process.stdin.close()


@pytest.mark.parametrize(
    ("arguments", "read_only"),
    [(("test", "--select", "stg_miosa__loads"), False), (("run-operation", "backup_ledger"), True)],
)
def test_dbt_names_who_holds_the_file_and_gives_up_with_one_line(
    tmp_path: Path, arguments: tuple[str, ...], read_only: bool
) -> None:
    """Once, however many connections it asks for."""
    warehouse = tmp_path / "usage.duckdb"
    create_database(warehouse)
    with held(warehouse, read_only=read_only) as other:
        began = time.monotonic()
        done = dbt(warehouse, *arguments, environment={"DBT_LOCK_SECONDS": "3"})
        assert 3 < time.monotonic() - began < 9
    assert done.returncode in (1, 2)
    said, *more = done.stderr.splitlines()
    assert (said[:5], more) == ("dbt: ", [])
    for words in (f"is held by process {other.pid} (", "waiting up to 3 s"):
        assert words in said
    assert sum(f"is held by process {other.pid} (" in line for line in done.stdout.splitlines()) == 1
    assert "close it there, then run again" in done.stdout
    assert "Traceback" not in done.stdout


def test_dbt_goes_on_when_the_file_is_let_go(tmp_path: Path) -> None:
    warehouse = tmp_path / "usage.duckdb"
    create_database(warehouse)
    with held(warehouse, read_only=True) as reader:
        started = start_dbt(warehouse, "show", "--inline", "select 42 as answer")
        said = started.stdout.with_name("stderr")
        until = time.monotonic() + 15
        while not said.read_text():
            assert time.monotonic() < until
            assert started.runs()
            time.sleep(0.05)
        assert f"process {reader.pid} (" in said.read_text()
        assert "waiting up to 60 s" in said.read_text()
        assert reader.stdin
        reader.stdin.close()
        done = started.wait()
    assert (done.returncode, "42" in done.stdout) == (0, True), done.stdout


def test_a_number_of_seconds_that_is_none_is_told_of(tmp_path: Path) -> None:
    done = dbt(tmp_path / "usage.duckdb", "show", "--inline", "select 1", environment={"DBT_LOCK_SECONDS": "soon"})
    assert done.returncode != 0
    assert "DBT_LOCK_SECONDS is 'soon'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_nobody_comes_between_the_wait_and_dbts_own_connection(tmp_path: Path) -> None:
    warehouse = tmp_path / "usage.duckdb"
    with closing(hold_for_dbt(warehouse, dict(NEVER_CHECKPOINT), 0, print, creates=True)):
        other = subprocess.run(
            [sys.executable, "-c", _HOLD.format(True), str(warehouse)], capture_output=True, text=True, check=False
        )
        assert "Could not set lock" in other.stderr
        with closing(duckdb.connect(str(warehouse), config=dict(NEVER_CHECKPOINT))) as connection:
            connection.execute("select 1")


def test_a_wait_is_told_of_within_two_seconds_once_and_a_short_one_not_at_all() -> None:
    conflict = duckdb.IOException(
        'Could not set lock on file "w": Conflicting lock is held in /bin/sh (PID 7) by root.'
    )
    told: list[float] = []
    lines: list[str] = []
    began = time.monotonic()

    def connect() -> float:
        if time.monotonic() - began < free_after:
            raise conflict
        return free_after

    def tell(line: str) -> None:
        told.append(time.monotonic() - began)
        lines.append(line)

    for free_after, times in ((0.3, 0), (1.6, 1)):
        began = time.monotonic()
        assert open_when_free(connect, Path("w"), 5, tell) == free_after
        assert len(told) == times
    assert told[0] < 2
    assert lines == ["w is held by process 7 (/bin/sh): waiting up to 5 s for it"]
    free_after, began = 9, time.monotonic()
    with pytest.raises(duckdb.IOException):
        open_when_free(connect, Path("w"), 0.3, tell)


@pytest.mark.parametrize(
    ("text", "who"),
    [
        (
            "Conflicting lock is held in /usr/bin/python3 (PID 12) by user ann. See also",
            "process 12 (/usr/bin/python3)",
        ),
        ("Conflicting lock is held in /a (b)/python 3 (PID 12).", "process 12 (/a (b)/python 3)"),
        ("Conflicting lock is held in PID 12. See also", "process 12"),
        ("Conflicting lock is held in (PID 12) by user", "process 12"),
        ("Conflicting lock is held in PID 0.", "another process"),
        ("See also https://duckdb.org/docs/stable/connect/concurrency", "another process"),
    ],
)
def test_a_holder_is_named_as_far_as_the_system_tells(text: str, who: str) -> None:
    assert holder(duckdb.IOException(f'Could not set lock on file "w": {text}')) == who
