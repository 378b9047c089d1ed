"""Lints all SQL: that of Python as it is, that of dbt compiled against a warehouse with the raw tables."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Runs the linter twice, for dbt with an empty warehouse of its own. Returns the higher exit status."""
    lint = [sys.executable, "-m", "sqlfluff", "lint", "--disable-progress-bar"]
    plain = [*lint, "--config", "tools/plain_sql.cfg", "core", "extract", "publish"]
    status = subprocess.run(plain, cwd=ROOT, check=False).returncode
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder) / "lint.duckdb"
        with duckdb.connect(warehouse) as connection:
            connection.execute((ROOT / "core" / "raw" / "schema.sql").read_text())
        environment = os.environ | {
            "WAREHOUSE_PATH": str(warehouse),
            "DBT_TARGET_PATH": f"{folder}/target",
            "DBT_LOG_PATH": f"{folder}/logs",
        }
        compiled = [*lint, "--processes", "2", "models", "tests"]
        return max(status, subprocess.run(compiled, cwd=ROOT, env=environment, check=False).returncode)


if __name__ == "__main__":
    sys.exit(main())
