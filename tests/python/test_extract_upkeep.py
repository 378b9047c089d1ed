"""The file itself: it comes into being whole, holds everything when a run is over, and refuses what is half there."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from extract.errors import WarehouseError
from extract.upkeep import NEVER_CHECKPOINT, Folding, create
from pipeline import dbt, extract, query
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
    create(warehouse)
    leave_a_large_log(warehouse)
    with serve(seeded_rows(1, 100, clock_ends=False).tenant()) as server:
        extract(server.base_url, warehouse, span=Span())
    assert [path.name for path in tmp_path.iterdir()] == ["usage.duckdb"]
    assert query(warehouse, "select count(*) as rows from history.rows") == [{"rows": 2_998_500}]


def test_a_large_log_is_folded_in_when_dbt_ends(tmp_path: Path) -> None:
    warehouse = tmp_path / "usage.duckdb"
    create(warehouse)
    leave_a_large_log(warehouse)
    assert dbt(warehouse, "show", "--inline", "select count(*) from history.rows").returncode == 0
    assert not list(tmp_path.glob("*.wal"))
    assert query(warehouse, "select count(*) as rows from history.rows") == [{"rows": 2_998_500}]


def test_a_half_made_file_of_a_killed_run_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "usage.duckdb.new").write_bytes(b"half")
    create(tmp_path / "usage.duckdb")
    assert [path.name for path in tmp_path.iterdir()] == ["usage.duckdb"]
    duckdb.connect(str(tmp_path / "usage.duckdb")).close()


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "usage.duckdb").write_bytes(b"anything")
    create(tmp_path / "usage.duckdb")
    assert (tmp_path / "usage.duckdb").read_bytes() == b"anything"


def test_a_log_without_its_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "usage.duckdb.wal").write_bytes(b"log")
    with pytest.raises(WarehouseError, match="bring that file back, or move the log away"):
        create(tmp_path / "usage.duckdb")
    assert not (tmp_path / "usage.duckdb").exists()


def test_nothing_is_folded_without_a_word(tmp_path: Path) -> None:
    with Folding(tmp_path / "usage.duckdb"):
        pass
    assert not list(tmp_path.iterdir())
