"""One warehouse on both engines: raw and ledger as Parquet, a build on Spark, and every mart held against DuckDB's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import yaml
from pyhive import hive

import pipeline
from tools.spark_cluster import LOOPBACK, Cluster

MARTS = sorted(
    path.stem
    for path in (pipeline.ROOT / "models" / "marts").rglob("*.sql")
    # Runs on Spark are not recorded.
    if path.stem != "rpt_builds"
)

RAW_TABLES = (
    *("loads", "usage_sessions", "sandboxes", "quotas", "usage_rollups", "usage_summaries"),
    *("credit_balances", "credit_transactions", "billing_invoices", "billing_overviews"),
)
"""Those that lie in folders by month."""

SPARK_TYPES = {"VARCHAR": "string", "HUGEINT": "decimal(38,0)", "INTEGER": "int"}
"""Where Spark spells a type of DuckDB's otherwise."""

SPARK_SECONDS = 1500


def export_raw(warehouse: Path, folder: Path) -> None:
    """What `python -m extract --parquet` writes, of rows that no extractor landed, in fewer files."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for table in RAW_TABLES:
            (folder / table).mkdir(parents=True)
            moment = "rows.started_at_utc" if table == "usage_sessions" else "loads.ended_at_utc"
            connection.execute(
                f"copy (select rows.*, strftime({moment}, '%Y-%m') as month from raw.{table} as rows"
                f" inner join raw.loads as loads using (load_id)) to '{folder / table}'"
                " (format parquet, partition_by (month))"
            )


@dataclass(frozen=True)
class Pair:
    """A warehouse that DuckDB has built, and where Spark builds the same."""

    warehouse: Path
    seeds: Path
    cluster: Cluster
    folder: Path
    """Of this pair alone: what goes from engine to engine."""
    variables: Mapping[str, Any]

    @property
    def raw(self) -> Path:
        """Raw as Parquet."""
        return self.folder / "raw"

    def on_duckdb(
        self, *arguments: str, variables: Mapping[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run dbt on the DuckDB file, with the pair's variables and others."""
        command, *others = arguments
        return pipeline.dbt(
            self.warehouse,
            command,
            *others,
            variables={**self.variables, **(variables or {})},
            seeds=self.seeds,
            parses=True,
        )

    def on_spark(
        self,
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run dbt over the Thrift server, likewise."""
        files = self.folder / "dbt"
        command = [
            *(str(Path(sys.executable).with_name("dbt")), *arguments, "--target", "spark", "--no-use-colors"),
            *("--target-path", str(files / "target"), "--log-path", str(files / "logs")),
            *("--vars", yaml.safe_dump({**self.variables, **(variables or {})}, default_flow_style=True, width=10**6)),
        ]
        named = {
            "SPARK_THRIFT_PORT": str(self.cluster.thrift_port),
            "SEEDS_PATH": str(self.seeds),
            "RAW_PARQUET_PATH": str(self.raw),
            "LEDGER_PARQUET_PATH": str(self.folder / "ledger"),
            **(environment or {}),
        }
        return subprocess.run(
            command,
            cwd=pipeline.ROOT,
            env={**os.environ, **named},
            capture_output=True,
            text=True,
            timeout=SPARK_SECONDS,
            check=False,
        )

    def hand_over_ledger(self) -> None:
        """Give Spark the ledger, as `make backup-ledger` writes it."""
        ledger = self.folder / "ledger"
        ledger.mkdir()
        done = pipeline.dbt(
            self.warehouse, "run-operation", "backup_ledger", parses=True, environment={"LEDGER_FOLDER": str(ledger)}
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A session of Spark, set as dbt's are."""
        profile = yaml.safe_load((pipeline.ROOT / "profiles.yml").read_text("utf-8"))
        settings = profile["miosa_billing"]["outputs"]["spark"]["server_side_parameters"]
        connection = hive.connect(LOOPBACK, self.cluster.thrift_port, username="test", configuration=settings)
        with closing(connection), closing(connection.cursor()) as cursor:
            yield cursor

    def spark_columns(self, table: str) -> list[tuple[str, str]]:
        """Names and types of a table's columns on Spark, those that it is partitioned by left out."""
        with self.session() as cursor:
            cursor.execute(f"describe {table}")
            rows = [(name, kind) for name, kind, _ in cursor.fetchall()]
        end = next((place for place, (name, _) in enumerate(rows) if name.startswith("#")), len(rows))
        partitions = {name for name, _ in rows[end:]}
        return [row for row in rows[:end] if row[0] not in partitions]

    def duckdb_columns(self, table: str) -> list[tuple[str, str]]:
        """The same on DuckDB, as Spark spells the types."""
        rows = pipeline.query(self.warehouse, f"describe {table}")
        return [(row["column_name"], SPARK_TYPES.get(row["column_type"], row["column_type"].lower())) for row in rows]

    def differences(self, mart: str) -> list[str]:
        """Every way in which a mart differs between the engines: columns, types, and rows, cell by cell as text."""
        table = f"marts.{mart}"
        columns, theirs = self.duckdb_columns(table), self.spark_columns(table)
        if columns != theirs:
            return [f"{mart}: the columns are {theirs}, on DuckDB {columns}"]
        written = self.folder / "marts" / mart
        with self.session() as cursor:
            cursor.execute(f"insert overwrite directory '{written}' using parquet select * from {table}")
        ours = ", ".join(f"({name})::varchar as {name}" for name, _ in columns)
        # Spark writes its times as instants; the session's zone is UTC, so they read as what they are.
        read = ", ".join(
            f"({name}{' at time zone $$UTC$$' if kind == 'timestamp' else ''})::varchar as {name}"
            for name, kind in columns
        )
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(f"create temp view ours as select {ours} from {table}")
            connection.execute(f"create temp view theirs as select {read} from read_parquet('{written}/*.parquet')")
            found = []
            for side, one, other in (("DuckDB", "ours", "theirs"), ("Spark", "theirs", "ours")):
                rows = connection.execute(f"select * from {one} except all select * from {other}").fetchall()
                found += [f"{mart}: only on {side}: {row}" for row in sorted(rows, key=repr)]
        return found


def told(differences: list[str]) -> str:
    """The first few differences, for a person."""
    return f"{len(differences)} differences, the first of them:\n" + "\n".join(line[:600] for line in differences[:10])
