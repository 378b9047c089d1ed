"""How long `publish invoices` takes per 1,000 documents, on all cores; and again when everything is there.

    .venv/bin/python -m benchmarks.invoices --documents 10000

Makes the marts that the command reads, without the rest of a warehouse (`invoices.sql`): each invoice has four lines
and usage on every day of the month.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[1]
PERIOD = "2026-10"
MARTS = Path(__file__).with_name("invoices.sql")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--sessions", type=int, default=62, help="sessions per invoice")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder) / "usage.duckdb"
        with duckdb.connect(str(warehouse)) as connection:
            for name in ("documents", "sessions"):
                connection.execute(f"set variable {name} = {getattr(given, name):d}")
            connection.execute(MARTS.read_text("utf-8"))
        command = [sys.executable, "-m", "publish", "invoices", "--period", PERIOD, "--to", str(Path(folder) / "out")]
        for what in ("first run", "again, nothing to do"):
            start, processor = time.monotonic(), _processor_seconds()
            subprocess.run(command, cwd=ROOT, env=os.environ | {"WAREHOUSE_PATH": str(warehouse)}, check=True)
            seconds = time.monotonic() - start
            processor = _processor_seconds() - processor
            print(
                f"{what}: {seconds:.1f} s, {seconds * 1000 / given.documents:.1f} s per 1,000 documents, "
                f"{processor * 1000 / given.documents:.1f} s of processor time"
            )


def _processor_seconds() -> float:
    """What all processes that have ended have taken, on all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
