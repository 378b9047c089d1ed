"""The file itself: it comes into being whole, holds everything when a run is over, and refuses what is half there."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from extract.errors import WarehouseError
from extract.upkeep import Folding, create
from pipeline import extract, query
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
