"""A dbt package beside this project behaves as dbt's defaults say: our overrides of dbt's macros act on our nodes only.

The package is installed into a copy of the project by `dbt deps`, and built on a warehouse with empty raw tables.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline import ROOT, manifest, query

PACKAGE = {
    "dbt_project.yml": """
name: neighbour
version: "1.0"
config-version: 2
models: {neighbour: {+schema: office}}
seeds: {neighbour: {+delimiter: ";"}}
""",
    # What our own macros would look at, and take for ours.
    "models/_models.yml": """
version: 2
models:
  - name: run_log
    config: {meta: {kept_by: session, replaces: session}}
    data_tests:
      - never_above: {arguments: {column: amount, bound: 10}, config: {where: "amount <> 99"}}
""",
    "models/run_log.sql": """
{{ config(materialized="incremental") }}
select '{{ invocation_id }}' as run_id, 99 as amount
""",
    "models/run_log_for_ever.sql": """
{{ config(materialized="incremental", full_refresh=false) }}
select '{{ invocation_id }}' as run_id
""",
    "seeds/rates.csv": "rate_id;day;share\n007;2026-10-01;0.5\n8;;\n",
    "tests/generic/never_above.sql": """
{% test never_above(model, column, bound) %}
select * from {{ model }} where {{ column }} > {{ bound }}
{% endtest %}
""",
}

OF_BUILT_MODELS = ("--indirect-selection", "cautious")
"""Only those data tests of ours that read nothing but what is built."""

SECONDS = 420


class Project:
    """A copy of the project with the package in it, and a warehouse."""

    def __init__(self, folder: Path) -> None:
        """Copy what dbt reads, write the package, and create empty raw tables."""
        self.root = folder / "project"
        self.warehouse = folder / "usage.duckdb"
        for name in ("models", "macros", "seeds", "tests/generic", "tests/reconciliation"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("*unit_tests.yml"))
        for name in ("dbt_project.yml", "profiles.yml", "selectors.yml"):
            shutil.copy(ROOT / name, self.root / name)
        for name, text in PACKAGE.items():
            path = folder / "neighbour" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        (self.root / "packages.yml").write_text("packages:\n  - local: ../neighbour\n", "utf-8")
        with duckdb.connect(self.warehouse) as connection:
            connection.execute((ROOT / "core" / "raw" / "schema.sql").read_text("utf-8"))
        self.dbt("deps")

    def dbt(self, *arguments: str) -> None:
        """Run a dbt command. Raises `AssertionError`, with what dbt said, if it fails."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        done = subprocess.run(
            [str(Path(sys.executable).with_name("dbt")), *arguments, "--no-use-colors"],
            cwd=self.root,
            env={**kept, "WAREHOUSE_PATH": str(self.warehouse), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query on the warehouse."""
        return query(self.warehouse, sql)

    def count(self, table: str) -> int:
        """Rows of a table."""
        with closing(duckdb.connect(str(self.warehouse), read_only=True)) as connection:
            (count,) = connection.execute(f"select count(*) from {table}").fetchall()[0]
        return int(count)


OVERRIDES = {
    "duckdb__create_csv_table",
    "duckdb__load_csv_rows",
    "generate_schema_name",
    "get_where_subquery",
    "noop_statement",
    "should_full_refresh",
    "spark__create_csv_table",
}
"""Our macros that have the name of one of dbt's, each with a test below but Spark's."""


def undispatched(name: str) -> str:
    """The name by which dbt looks for a macro."""
    return name.removeprefix("default__").removeprefix("duckdb__").removeprefix("spark__")


def test_no_other_macro_has_the_name_of_one_of_dbts() -> None:
    """Else packages that call dbt's would get ours."""
    macros = manifest()["macros"].values()
    theirs = {undispatched(macro["name"]) for macro in macros if macro["package_name"] != "miosa_billing"}
    ours = {macro["name"] for macro in macros if macro["package_name"] == "miosa_billing"}
    assert {name for name in ours if undispatched(name) in theirs} == OVERRIDES


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The package, built with some models of ours, not all: so the next build makes ours in full again."""
    project = Project(tmp_path_factory.mktemp("neighbour"))
    project.dbt("build", "--select", "package:neighbour", "+int_sessions", *OF_BUILT_MODELS)
    return project


def test_its_models_are_in_schemas_as_dbt_names_them_and_ours_as_we_do(project: Project) -> None:
    assert project.count("main_office.run_log") == 1
    assert project.count("intermediate.int_sessions") == 0


def test_its_seed_is_loaded_with_dbts_types_and_its_own_delimiter(project: Project) -> None:
    columns = project.rows(
        "select column_name as name, data_type as type from information_schema.columns where table_name = 'rates'"
        " order by ordinal_position"
    )
    assert [column["type"] for column in columns] == ["INTEGER", "DATE", "DOUBLE"]
    assert [row["rate_id"] for row in project.rows("select rate_id from main.rates order by all")] == [7, 8]


def test_dbt_keeps_the_sql_of_its_seed(project: Project) -> None:
    assert (project.root / "target" / "run" / "neighbour" / "seeds" / "rates.csv").exists()


def test_its_generic_test_reads_what_dbt_would_have_it_read(project: Project) -> None:
    """All rows of the model that its own `where` leaves, in the subquery that dbt writes."""
    (compiled,) = (project.root / "target" / "compiled" / "neighbour").rglob("*never_above*.sql")
    assert "(select * from " in compiled.read_text("utf-8")
    assert "where amount <> 99) dbt_subquery" in compiled.read_text("utf-8")


def test_its_incremental_models_grow_whatever_becomes_of_ours(project: Project) -> None:
    """Ours are built in full as long as the warehouse is not up to date; the package's are not."""
    project.dbt("build", "--select", "package:neighbour")
    assert project.count("main_office.run_log") == 2
    project.dbt("build", "--select", "package:neighbour", "--full-refresh")
    assert project.count("main_office.run_log") == 1
    assert project.count("main_office.run_log_for_ever") == 3, "its own full_refresh=false counts more"
