"""Lints the SQL of models and tests with sqlfluff, which needs a warehouse with the raw tables to compile against."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Runs the linter on an empty warehouse of its own; returns its exit status."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder) / "lint.duckdb"
        with duckdb.connect(warehouse) as connection:
            connection.execute((ROOT / "core" / "raw" / "schema.sql").read_text())
        environment = os.environ | {
            "WAREHOUSE_PATH": str(warehouse),
            "DBT_TARGET_PATH": f"{folder}/target",
            "DBT_LOG_PATH": f"{folder}/logs",
        }
        command = ["-m", "sqlfluff", "lint", "--processes", "2", "--disable-progress-bar", "models", "tests"]
        return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
