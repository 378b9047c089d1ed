"""`python -m extract --parquet`: the folder holds what raw holds, whatever happens in between."""

from __future__ import annotations

import glob
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from core.errors import WarehouseError
from extract.cli import outcome
from extract.parquet import ParquetFolder
from extract.warehouse import Warehouse
from simulator import generate_tenant
from simulator.server import Server
from test_extract_support import ROOT, Options, Tenant, command, row, serve

KEY = "msk_canary_0123456789"
TABLES = (
    *("loads", "usage_sessions", "sandboxes", "quotas", "usage_rollups", "usage_summaries"),
    *("credit_balances", "credit_transactions", "billing_invoices", "billing_overviews"),
)
SEPTEMBER, OCTOBER = (
    ("--from", month, "--window-days", "7", "--look-back-days", "0", "--look-ahead-days", "0")
    for month in ("2026-09", "2026-10")
)


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "par'quet [1]*"


def environment(server: Server, warehouse: Path, folder: Path | None = None) -> dict[str, str]:
    told = {"MIOSA_API_KEY": KEY, "MIOSA_BASE_URL": server.base_url, "WAREHOUSE_PATH": str(warehouse)}
    return told if folder is None else {**told, "EXTRACT_PARQUET": str(folder)}


def run(server: Server, warehouse: Path, folder: Path | None, *arguments: str) -> None:
    done = command(*arguments, environment=environment(server, warehouse, folder))
    assert (done.returncode, done.stderr) == (0, "")


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def reader(warehouse: Path, folder: Path) -> duckdb.DuckDBPyConnection:
    """Raw, and the folder in a schema `parquet`, read as any engine would."""
    connection = duckdb.connect()
    connection.execute(f"attach '{warehouse}' as warehouse (read_only); create schema raw; create schema parquet")
    for table in (*TABLES, "quota_reads"):
        connection.execute(f"create view raw.{table} as from warehouse.raw.{table}")
        if [*(folder / table).glob("*/*.parquet")]:
            connection.execute(f"create view parquet.{table} as from {files(folder, table)}")
    return connection


def files(folder: Path, table: str, more: str = "") -> str:
    """A table's files, to be read from."""
    place = glob.escape(str(folder)).replace("'", "''")
    return f"read_parquet('{place}/{table}/*/*.parquet', hive_partitioning = true{more})"


def assert_same(warehouse: Path, folder: Path, tables: tuple[str, ...] = TABLES) -> None:
    """Every row of raw is there once, in the month and the file it belongs to, in order; and nothing else is."""
    with reader(warehouse, folder) as connection:
        for table in tables:
            columns = connection.execute(f"select column_name, column_type from (describe raw.{table})").fetchall()
            described = connection.execute(
                f"select column_name, column_type from (describe parquet.{table})"
            ).fetchall()
            assert described == [*columns, ("month", "VARCHAR")]
            rows = connection.execute(f"from raw.{table} order by all").fetchall()
            assert connection.execute(f"select * exclude (month) from parquet.{table} order by all").fetchall() == rows
            moment = {"usage_sessions": "started_at_utc", "loads": "ended_at_utc"}.get(table)
            if moment:
                wrong = f"from parquet.{table} where month is distinct from strftime({moment}, '%Y-%m')"
            else:
                wrong = (
                    f"from parquet.{table} inner join raw.loads using (load_id) "
                    "where month is distinct from strftime(ended_at_utc, '%Y-%m')"
                )
            assert connection.execute(f"select count(*) {wrong}").fetchall() == [(0,)]
            place = "row_number" if table not in ("loads", "quota_reads") else "0"
            misplaced = (
                f"select 1 from {files(folder, table, ', filename = true, file_row_number = true')} "
                "qualify not ends_with(filename, '/load_' || load_id || '.parquet') "
                f"or {place} < lag({place}) over (partition by filename order by file_row_number)"
            )
            assert connection.execute(misplaced).fetchall() == []
    for name in names(folder):
        assert re.fullmatch(r"(\w+)/month=(\d{4}-\d\d|__HIVE_DEFAULT_PARTITION__)/load_\d+\.parquet", name)


def test_the_folder_holds_what_raw_holds_and_a_rerun_adds_nothing_to_it(warehouse: Path, folder: Path) -> None:
    rows = [row(f"s{n}", f"2026-10-{n % 28 + 1:02d}", user=f"u{n % 3}") for n in range(300)]
    before = os.umask(0)
    try:
        with serve(Tenant.from_rows(rows), Options(api_key=KEY)) as server:
            run(server, warehouse, folder, *OCTOBER)
            first = names(folder)
            times = {name: (folder / name).stat().st_mtime_ns for name in first}
            assert_same(warehouse, folder, tuple(table for table in TABLES if table != "sandboxes"))
            run(server, warehouse, folder, *OCTOBER)
    finally:
        os.umask(before)
    # That it read the quotas again is all there is to say of the second run.
    assert all(name.startswith(("loads/", "quota_reads/")) for name in names(folder) - first)
    assert {name: (folder / name).stat().st_mtime_ns for name in first} == times
    assert_same(warehouse, folder, (*(table for table in TABLES if table != "sandboxes"), "quota_reads"))
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_the_first_use_brings_the_history_and_a_month_adds_files_for_itself_only(warehouse: Path, folder: Path) -> None:
    rows = [row(f"s{n}", f"2026-{9 + n % 2:02d}-{n % 28 + 1:02d}") for n in range(100)]
    with serve(Tenant.from_rows(rows), Options(api_key=KEY)) as server:
        run(server, warehouse, None, *SEPTEMBER)
        assert not folder.exists()
        run(server, warehouse, folder, *SEPTEMBER)
        before = names(folder)
        assert {name.split("/")[1] for name in before if "sessions" in name} == {"month=2026-09"}
        run(server, warehouse, folder, *OCTOBER)
    added = names(folder) - before
    assert before <= names(folder)
    assert {name.split("/")[1] for name in added if "sessions" in name} == {"month=2026-10"}
    assert_same(warehouse, folder, tuple(table for table in TABLES if table != "sandboxes"))


def test_every_edge_of_the_api_arrives(warehouse: Path, folder: Path) -> None:
    """Sandboxes too, repeated keys, lone surrogates, rows without an id, voids: whatever raw holds."""
    with serve(generate_tenant(sessions=200, users=6), Options(api_key=KEY)) as server:
        for _ in range(2):
            done = command("--from", "2026-08", "--to", "2026-10", environment=environment(server, warehouse, folder))
            assert done.returncode == 0
    assert_same(warehouse, folder)


HOSTILE = [
    "../../etc",
    "month=2026-01",
    "a/b",
    "'; drop table raw.loads; --",
    "\\u0000",
    'é\\n\\"',
    "%2e",
    "",
    "load_1.parquet",
]


def test_ids_do_no_harm_and_rows_without_a_month_have_a_place(warehouse: Path, folder: Path) -> None:
    rows = [row(name, "2026-10-05", user=name) for name in HOSTILE]
    rows += [
        '{"id":"never","started_at":"some day"}',
        "7",
    ]
    with serve(Tenant.from_rows(rows), Options(api_key=KEY)) as server:
        run(server, warehouse, folder, "--from", "2026-10", "--window-days", "366", "--look-ahead-days", "0")
    months = {name.split("/")[1] for name in names(folder) if "sessions" in name}
    assert months == {"month=2026-10", "month=__HIVE_DEFAULT_PARTITION__"}
    assert_same(warehouse, folder, ("loads", "usage_sessions", "quotas"))


def test_a_filter_on_the_month_reads_its_files_only(warehouse: Path, folder: Path) -> None:
    rows = [row(f"s{n}", f"2026-{9 + n % 2:02d}-{n % 28 + 1:02d}") for n in range(100)]
    with serve(Tenant.from_rows(rows), Options(api_key=KEY)) as server:
        run(server, warehouse, folder, "--from", "2026-09", "--to", "2026-10", "--window-days", "7")
    every = {name for name in names(folder) if "sessions" in name}
    of_october = {name for name in every if "month=2026-10" in name}
    assert of_october < every
    with reader(warehouse, folder) as connection:
        sql = "select count(*), count(distinct payload) from parquet.usage_sessions where month = '2026-10'"
        assert connection.execute(sql).fetchall() == [(50, 50)]
        ((_, plan),) = connection.execute(f"explain analyze {sql}").fetchall()
    assert f"{len(of_october)}/{len(every)}" in plan or f"Total Files Read: {len(of_october)}" in plan


def test_kills_at_any_moment_leave_nothing_that_the_next_run_does_not_mend(warehouse: Path, folder: Path) -> None:
    chance = random.Random(7)
    days = (*OCTOBER[:2], "--window-days", "2", "--look-back-days", "0", "--look-ahead-days", "0")
    rows = [row(f"s{n}", f"2026-10-{n % 28 + 1:02d}", user=f"u{n % 5}") for n in range(400)]
    parts = 0
    with serve(Tenant.from_rows(rows[:200]), Options(api_key=KEY)) as server:
        run(server, warehouse, folder, *days)
    with serve(Tenant.from_rows(rows), Options(api_key=KEY)) as server:
        for _ in range(12):
            process = subprocess.Popen(
                [sys.executable, "-m", "extract", *days],
                env={**os.environ, **environment(server, warehouse, folder), "PYTHONPATH": str(ROOT)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            # Some are killed before they export, most while they do.
            known, more, began = len(names(folder)), chance.randrange(32), time.monotonic()
            while process.poll() is None and len(names(folder)) < known + more and time.monotonic() - began < 20:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            process.wait()
            parts += any("_load" in name for name in names(folder))
        run(server, warehouse, folder, *days)
    assert parts
    assert_same(warehouse, folder, tuple(table for table in TABLES if table != "sandboxes"))


# What is refused


def test_a_folder_that_cannot_be_written_is_noticed_before_the_first_request(warehouse: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with serve(Tenant.from_rows([]), Options(api_key=KEY)) as server:
        for place in (tmp_path / "file", tmp_path / "file" / "below"):
            done = command(*OCTOBER, "--parquet", str(place), environment=environment(server, warehouse))
            assert done.returncode == 1
            assert len(done.stderr.splitlines()) == 1
            assert f"cannot write Parquet in {place}" in done.stderr
        assert not server.requests


@pytest.mark.parametrize("place", ["", "s3://bucket/raw", "file:///raw"])
def test_what_is_no_folder_is_2(warehouse: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("MIOSA_API_KEY", KEY)
    monkeypatch.setenv("WAREHOUSE_PATH", str(warehouse))
    assert outcome([*OCTOBER, "--parquet", place]) == (
        2,
        "--parquet is no folder of this machine: name one, or leave it out",
    )


def test_a_folder_of_another_warehouse_is_refused(warehouse: Path, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    with serve(Tenant.from_rows([row("a", "2026-10-05")]), Options(api_key=KEY)) as server:
        run(server, warehouse, folder, *OCTOBER)
        run(server, other, None, *OCTOBER)
        before, asked = names(folder), len(server.requests)
        for place in (other, tmp_path / "new.duckdb"):
            done = command(*OCTOBER, environment=environment(server, place, folder))
            assert done.returncode == 1
            assert len(done.stderr.splitlines()) == 1
            assert "holds loads that this warehouse does not" in done.stderr
        assert len(server.requests) == asked
    assert names(folder) == before


def test_what_the_system_refuses_is_told_of_and_what_is_landed_stays(warehouse: Path, folder: Path) -> None:
    """The folder that a file needs is in the way: what the kernel says is passed on, and nothing is half there."""
    with serve(Tenant.from_rows([row("a", "2026-10-05")]), Options(api_key=KEY)) as server:
        run(server, warehouse, None, *OCTOBER)
    with Warehouse(warehouse) as held:
        mirror = ParquetFolder(folder, held)
        (folder / "usage_sessions" / "month=2026-10").write_text("")
        with pytest.raises(WarehouseError, match="what is landed stays"):
            mirror.complete()
        assert not any((folder / "loads").rglob("*.parquet"))
        (folder / "usage_sessions" / "month=2026-10").unlink()
        assert ParquetFolder(folder, held).complete()
    assert_same(warehouse, folder, ("loads", "usage_sessions", "quotas"))
