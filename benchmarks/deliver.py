"""The report and the workbook of a month with 100,000 users, made by the commands on a copy of the demo's marts.

Run `make demo` first, then `make bench-deliver`. WAREHOUSE_PATH names another built warehouse.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[1]
STATEMENTS = Path(__file__).with_name("large_marts.sql")
PERIOD = "2026-05"
"""A month that neither the demo nor the tests have."""

USERS = 100_000
ROWS = 100_000
"""Rows of all sheets together, in the case whose target is ten seconds."""

_ROWS_PER_USER = 10
"""An invoice, two lines, three shares and uses of projects, four limits."""


def copy_marts(warehouse: Path, path: Path) -> Path:
    """A database with a copy of every mart of a warehouse, as tables, and nothing else."""
    # Views name the database that they were made in, which is named after its file.
    name = warehouse.stem
    with duckdb.connect(path) as connection:
        connection.execute(f"attach '{warehouse}' as {name} (read_only)")
        connection.execute("create schema marts")
        marts = connection.execute(
            "select table_name from information_schema.tables where table_catalog = ? and table_schema = 'marts'",
            [name],
        ).fetchall()
        for (mart,) in marts:
            connection.execute(f"create table marts.{mart} as from {name}.marts.{mart}")
    return path


def fill(path: Path, users: int, period: str = PERIOD) -> None:
    """Add a month of so many users to a copy of the marts."""
    with duckdb.connect(path) as connection:
        connection.execute(f"set variable users = {users}; set variable period = '{period}'")
        connection.execute(STATEMENTS.read_text("utf-8"))


def measure(command: str, warehouse: Path, folder: Path) -> str:
    """Run a command; how long it took, its processor time, and what it wrote."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "publish", command, "--period", PERIOD, "--to", str(folder)],
        cwd=ROOT,
        env=os.environ | {"WAREHOUSE_PATH": str(warehouse)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    took = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (written,) = folder.iterdir()
    size = written.stat().st_size / 1e6
    written.unlink()
    return f"{took:.1f} s, {after.ru_utime - before.ru_utime:.1f} s of it computing, {size:.1f} MB"


def main() -> int:
    """Measure and print."""
    warehouse = Path(os.environ.get("WAREHOUSE_PATH", ROOT / "demo.duckdb")).resolve()
    if not warehouse.exists():
        print(f"there is no warehouse at {warehouse}: run `make demo` first", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for users in (ROWS // _ROWS_PER_USER, USERS):
            marts = copy_marts(warehouse, folder / f"marts_{users}.duckdb")
            fill(marts, users)
            for command in ("report", "excel"):
                print(f"{command}, {users:,} users: {measure(command, marts, folder / 'out')}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
