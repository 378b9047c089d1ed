"""`docs/bi.md` works as written: each block is run beside a published copy, and SQL typed by a reader stays in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pipeline import ROOT
from publish.cli import outcome

ELSEWHERE = ("The published copy", "Superset")
"""Commands that other tests run."""
BLOCKS = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?```(sh|python)\n(.*?)```", (ROOT / "docs" / "bi.md").read_text(), re.M | re.S
)
CODE = {title: (language, code) for title, language, code in BLOCKS if title not in ELSEWHERE}
TOOLS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def published(delivered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `published` in it, as the recipes have it."""
    folder = tmp_path_factory.mktemp("bi")
    arguments = ["--warehouse", str(delivered), "--to", str(folder / "published"), "--parquet"]
    assert outcome(["marts", *arguments]) == (0, "")
    return folder


def run(code: str, language: str, folder: Path) -> str:
    command = [sys.executable, "-c", code] if language == "python" else ["sh", "-c", code]
    environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_tool_that_installs_from_a_registry_has_a_recipe() -> None:
    assert list(CODE) == ["DuckDB's shell", "Python and pandas", "Polars", "SQLAlchemy"]


@pytest.mark.parametrize("title", CODE)
def test_a_recipe_shows_the_exact_sum(delivered: Path, published: Path, title: str) -> None:
    language, code = CODE[title]
    with closing(duckdb.connect(str(delivered), read_only=True)) as warehouse:
        (total,) = warehouse.execute("select sum(credits) from marts.fct_user_period_credits").fetchall()[0]
    # So that a float would show: it holds 15 digits at most, and writes no zeros at the end.
    assert total.as_tuple().exponent == -9
    assert Decimal(run(code, language, published).split()[-1]) == total
    assert str(total) in run(code, language, published)


def test_sqlalchemy_follows_the_next_publish_only_with_the_recipes_pool(published: Path, tmp_path: Path) -> None:
    """The pool of the recipe is needed: with the usual one, a program that goes on running keeps the old file."""
    code = CODE["SQLAlchemy"][1].replace("published/marts.duckdb", "marts.duckdb")
    again = """
import pathlib
pathlib.Path("marts.duckdb").unlink()
pathlib.Path("marts.duckdb").symlink_to("second.duckdb")
with engine.connect() as connection:
    print(connection.execute(sqlalchemy.text("select sum(credits) from marts.fct_user_period_credits")).scalar_one())
"""
    for name, value in (("first", 1), ("second", 2)):
        with closing(duckdb.connect(str(tmp_path / f"{name}.duckdb"))) as made:
            made.execute(
                f"create schema marts; create table marts.fct_user_period_credits as select {value} as credits"
            )
    for planted, expected in ((code, ["1", "2"]), (code.replace("    poolclass=NullPool,\n", ""), ["1", "1"])):
        (tmp_path / "marts.duckdb").unlink(missing_ok=True)
        (tmp_path / "marts.duckdb").symlink_to("first.duckdb")
        assert run(planted + again, "python", tmp_path).split() == expected


ESCAPES = (
    "select * from read_text('{secret}')",
    "select * from read_csv('{secret}')",
    "from '{secret}'",
    "from glob('{folder}/*')",
    "copy (select 1) to '{folder}/out.csv'",
    "export database '{folder}/out'",
    "attach '{folder}/out.duckdb'",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "install httpfs",
    "load httpfs",
    "create table marts.mine as select 1",
    "delete from marts.fct_invoices",
)


@pytest.mark.parametrize("is_guarded", [True, False])
def test_sql_typed_by_a_reader_reads_no_file_of_the_machine_and_writes_none(
    published: Path, tmp_path: Path, is_guarded: bool
) -> None:
    """With the settings of the recipes. Without them, the same statements do reach the machine."""
    (secret := tmp_path / "secret.csv").write_text("secret\n")
    config: dict[str, str | bool | int | float | list[str]] = {}
    if is_guarded:
        config = {"enable_external_access": "false", "lock_configuration": "true"}
    refused = []
    copy = duckdb.connect(str(published / "published" / "marts.duckdb"), read_only=True, config=config)
    with closing(copy):
        for statement in ESCAPES:
            try:
                copy.execute(statement.format(secret=secret, folder=tmp_path))
            except duckdb.Error:
                refused.append(statement)
    if is_guarded:
        assert refused == list(ESCAPES)
        assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]
    else:
        assert ESCAPES[0] not in refused
        assert (tmp_path / "out.csv").exists()
    # The recipes of the tools have the same settings.
    for _, code in CODE.values():
        if "published/parquet" not in code:
            assert "enable_external_access" in code
            assert "lock_configuration" in code
            assert re.search("read_?only", code)
