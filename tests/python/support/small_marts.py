"""A warehouse with a few small marts that each name their build: published in a moment, and a mix of builds shows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb

_SQL = """
    create schema if not exists marts;
    create or replace table marts.rpt_builds as
        select
            $build as build_id, 'dbt build' as command, 'success' as status, 0 as failure_count, true as is_deciding,
            timestamp '2026-11-01' as started_at_utc, timestamp '2026-11-01 00:05:00' as ended_at_utc,
            $is_proven as is_proven, 0 as newer_load_count, 0 as newer_quota_load_count;
    create or replace table marts.rpt_reconciliation as select 'facts' as check_name, $status as status;
    create or replace table marts.fct_invoices as select $build as build_id from range(1000);
    create or replace view marts.fct_invoice_lines as select build_id from marts.fct_invoices;
"""


def build(warehouse: Path, build_id: str, *, is_proven: bool = True, status: str = "ok") -> Path:
    """Make the marts of another build."""
    with closing(duckdb.connect(str(warehouse))) as connection:
        for statement in _SQL.strip().split(";\n"):
            for name, value in (
                ("build", "'{}'".format(build_id.replace("'", "''"))),
                ("is_proven", is_proven),
                ("status", f"'{status}'"),
            ):
                statement = statement.replace(f"${name}", str(value))
            connection.execute(statement)
    return warehouse


READER = """
import json, sys, time
from pathlib import Path
import duckdb
folder, kind = Path(sys.argv[1]), sys.argv[2]
reads, problems, builds = 0, [], set()
print("ready", flush=True)
while not (folder / "stop").exists():
    try:
        if kind == "parquet":
            path = (folder / "parquet").resolve()
            one, other = (f"'{path}/{mart}.parquet'" for mart in ("fct_invoices", "fct_invoice_lines"))
            connection = duckdb.connect()
        else:
            one, other = "marts.fct_invoices", "marts.fct_invoice_lines"
            connection = duckdb.connect(str(folder / "marts.duckdb"), read_only=True)
        sql = f"select count(*), min(build_id), max(build_id) from (from {one} union all from {other})"
        rows, first, last = connection.execute(sql).fetchone()
        connection.close()
        if rows != 2000 or first != last:
            problems.append(f"{rows} rows of {first} and {last}")
        builds.add(first)
        reads += 1
        time.sleep(0.005)
    except Exception as error:
        problems.append(str(error))
print(json.dumps({"reads": reads, "problems": problems[:5], "builds": len(builds)}))
"""
"""Reads again and again until a file `stop` appears; `kind` is duckdb or parquet."""
