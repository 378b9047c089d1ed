"""`publish marts`: the copy is what the warehouse has, and nothing that happens beside it gets in a reader's way."""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline import ROOT, manifest
from publish.cli import outcome
from publish.marts import commands, copying, versions
from publish.marts.copying import Statements
from small_marts import READER, build

MARTS = {path.stem for path in (ROOT / "models" / "marts").rglob("*.sql")}
LINKS = {"marts.duckdb", "billing.duckdb"}
PAYLOADS = {("dim_quota_answers", "answer"), ("rpt_rejected_rows", "payload"), ("rpt_session_versions", "payload")}
ADDRESSES = {
    *(("dim_customers", name) for name in ("email", "address", "country", "tax_id", "reference")),
    *(("billing__line_item_enhanced", name) for name in ("customer_email", "customer_country")),
}
LEFT_OUT = PAYLOADS | ADDRESSES


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small warehouse of the build `one`."""
    return build(tmp_path / "small.duckdb", "one")


@pytest.fixture(scope="module")
def copied(delivered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the copy of the delivered warehouse, Parquet too."""
    folder = tmp_path_factory.mktemp("published")
    publish(delivered, folder, "--parquet")
    return folder


def publish(warehouse: Path, folder: Path, *options: str, status: int = 0) -> str:
    """Run the command in this process. Returns its line for standard error."""
    got, message = outcome(["marts", "--warehouse", str(warehouse), "--to", str(folder), *options])
    assert (got, message.count("\n")) == (status, 0), message
    return message


def process(warehouse: Path, folder: Path, *options: str, **settings: Any) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "publish", "marts", "--warehouse", str(warehouse), "--to", str(folder), *options]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings)


def ask(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(duckdb.connect(str(file), read_only=True)) as connection:
        return connection.execute(sql).fetchall()


def shown(folder: Path) -> str:
    """The build that readers see; all of its marts are of it."""
    ((build_id,),) = ask(
        folder / "marts.duckdb",
        "select distinct build_id from (select build_id from marts.fct_invoices union all"
        " select build_id from marts.fct_invoice_lines union all select build_id from marts.rpt_builds)",
    )
    return str(build_id)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@contextmanager
def both(warehouse: Path, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the warehouse and to its copy."""
    with closing(duckdb.connect()) as connection:
        connection.execute(f"attach '{warehouse}' as warehouse (read_only)")
        connection.execute(f"attach '{folder / 'marts.duckdb'}' as copy (read_only)")
        yield connection


# --- The copy ------------------------------------------------------------------------------------------------------


def test_every_mart_is_a_table_with_the_contracts_columns_and_comments(delivered: Path, copied: Path) -> None:
    columns = """
        select table_name, column_index, column_name, data_type, comment
        from duckdb_columns() where database_name = '{}' and schema_name = 'marts' order by all
    """
    relations = "select table_name, comment from {} where database_name = '{}' and schema_name = 'marts'"
    with both(delivered, copied) as connection:
        expected = connection.execute(columns.format("warehouse")).fetchall()
        actual = connection.execute(columns.format("copy")).fetchall()
        assert [
            (*row[:4], "Null in this copy. In the warehouse: " * ((row[0], row[2]) in LEFT_OUT) + row[4])
            for row in expected
        ] == actual
        marts = connection.execute(relations.format("duckdb_tables()", "warehouse")).fetchall()
        views = relations.format("duckdb_views()", "warehouse").replace("table_name", "view_name")
        marts += connection.execute(views).fetchall()
        assert sorted(marts) == sorted(connection.execute(relations.format("duckdb_tables()", "copy")).fetchall())
        assert {row[0] for row in marts} == MARTS
        assert connection.execute(
            "select distinct schema_name from duckdb_columns() where database_name = 'copy'"
        ).fetchall() == [("marts",)]


def test_every_row_is_there_and_the_vendors_rows_are_not(delivered: Path, copied: Path) -> None:
    with both(delivered, copied) as connection:
        for mart in MARTS:
            hidden = [f"null as {column}" for table, column in sorted(LEFT_OUT) if table == mart]
            source = f"select * {'replace (' + ', '.join(hidden) + ')' if hidden else ''} from warehouse.marts.{mart}"
            for one, other in ((source, f"from copy.marts.{mart}"), (f"from copy.marts.{mart}", source)):
                assert connection.execute(f"{one} except all {other}").fetchall() == [], mart


def test_a_column_that_a_test_proves_never_null_is_not_null(copied: Path) -> None:
    declared = set(
        ask(copied / "marts.duckdb", "select table_name, column_name from duckdb_columns() where not is_nullable")
    )
    proven = set()
    for node in manifest()["nodes"].values():
        test = node.get("test_metadata") or {}
        if test.get("name") in ("never_null", "not_null") and (node.get("attached_node") or "").startswith("model."):
            mart = node["attached_node"].split(".")[2]
            arguments = test["kwargs"]
            proven |= {(mart, column) for column in arguments.get("columns") or [arguments.get("column_name")]}
    proven = {(mart, column) for mart, column in proven if mart in MARTS}
    assert len(proven) > 50
    assert proven <= declared


def test_columns_of_the_vendors_rows_are_known_by_their_descriptions() -> None:
    """Whoever adds a mart column with a row as it came has to leave it out of the copy, too."""
    described = {
        (node["name"], column["name"])
        for node in manifest()["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == "marts"
        for column in node["columns"].values()
        if re.search("(row|JSON) as (it came|the vendor sent it)", column["description"])
    }
    assert described == PAYLOADS


def test_the_exposure_of_the_copy_names_every_mart() -> None:
    exposure = manifest()["exposures"]["exposure.miosa_billing.published_marts"]
    assert {key.split(".")[2] for key in exposure["depends_on"]["nodes"]} == MARTS


@pytest.mark.parametrize("is_planted", [False, True])
def test_no_byte_of_a_vendors_row_is_in_any_file(
    delivered: Path, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_planted: bool
) -> None:
    """Not even in the gaps of a block, which hold what memory held before."""
    if is_planted:
        plant(monkeypatch, "rpt_session_versions", lambda fill: fill.replace("null from", "payload from"))
        publish(delivered, copied := tmp_path)
    key = "'\"started_at\":'"
    ((texts,),) = ask(delivered, f"select count(*) from marts.rpt_session_versions where contains(payload, {key})")
    assert texts
    files = [*copied.glob("marts-*.duckdb"), *copied.glob("parquet/*")]
    found = [path.name for path in files if b'"started_at":' in path.read_bytes()]
    assert bool(found) == is_planted


def test_the_finance_questions_have_the_same_answers_on_the_copy(delivered: Path, copied: Path) -> None:
    from test_documents import QUESTIONS

    answered = 0
    for sql in QUESTIONS.values():
        sql = sql.replace("2026-10", "2026-03").replace("and lines.external_user_id = 'user-0001'", "")
        sql = sql.replace("versions.payload", "1").replace("and parts.external_user_id = 'user-0001'", "")
        expected, actual = (sorted(map(repr, ask(file, sql))) for file in (delivered, copied / "marts.duckdb"))
        assert expected == actual
        answered += bool(actual)
    assert answered >= 4


def test_duckdb_1_reads_the_copy_with_its_comments(copied: Path) -> None:
    tool = Path(sys.executable).with_name("duckdb")
    sql = """
        select
            version()[:2] as version,
            (select count(comment) from duckdb_columns() where schema_name = 'marts') as comments,
            (select sum(credits)::varchar from marts.fct_user_period_credits) as credits
    """
    command = [str(tool), "-readonly", "-json", str(copied / "billing.duckdb"), "-c", sql]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        dict(zip(("version", "comments", "credits"), ("v1", *row[1:]), strict=True))
        for row in ask(copied / "marts.duckdb", sql)
    ]


def test_parquet_files_hold_the_same_rows(copied: Path) -> None:
    with closing(duckdb.connect(str(copied / "marts.duckdb"), read_only=True)) as connection:
        files = sorted((copied / "parquet").iterdir())
        marts = [name for (name,) in connection.execute("select table_name from duckdb_tables() order by 1").fetchall()]
        assert [path.stem for path in files] == marts
        for path in files:
            for one, other in ((f"'{path}'", f"marts.{path.stem}"), (f"marts.{path.stem}", f"'{path}'")):
                assert connection.execute(f"from {one} except all from {other}").fetchall() == [], path
        compression = f"select distinct compression from parquet_metadata('{copied}/parquet/*.parquet')"
        assert connection.execute(compression).fetchall() == [("ZSTD",)]
        pairs = f"parquet_kv_metadata('{copied}/parquet/*.parquet')"
        proven = f"select distinct value::varchar from {pairs} where key = 'proven'"
        assert connection.execute(proven).fetchall() == [("yes",)]


def test_the_same_warehouse_gives_the_same_bytes(delivered: Path, copied: Path, tmp_path: Path) -> None:
    done = process(delivered, tmp_path / "again", "--parquet")
    assert done.wait() == 0, done.stderr and done.stderr.read()
    files = sorted(path.relative_to(copied) for path in copied.rglob("*") if path.is_file())
    assert len(files) > 40
    assert [path for path in files if (tmp_path / "again" / path).read_bytes() != (copied / path).read_bytes()] == []


# --- What is refused -----------------------------------------------------------------------------------------------


def plant(monkeypatch: pytest.MonkeyPatch, mart: str, change: Callable[[str], str]) -> None:
    """Change the statement that fills a mart's copy."""
    original = copying.statements

    def changed(*arguments: Any) -> tuple[list[Statements], list[str]]:
        made, left_out = original(*arguments)
        return [replace(each, fill=change(each.fill)) if each.mart == mart else each for each in made], left_out

    monkeypatch.setattr(commands, "statements", changed)


@pytest.mark.parametrize(
    ("mart", "change", "message"),
    [
        ("fct_invoices", lambda fill: f"{fill} limit 999", "fct_invoices has 999 rows instead of 1,000"),
        ("rpt_builds", lambda fill: fill.replace('select "build_id"', "select 'other'"), "does not name the build one"),
    ],
)
def test_a_copy_that_is_not_right_is_not_published(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mart: str, change: Callable[[str], str], message: str
) -> None:
    publish(build(small, "zero"), folder := tmp_path / "out")
    before = names(folder)
    plant(monkeypatch, mart, change)
    assert message in publish(build(small, "one"), folder, "--parquet", status=1)
    assert names(folder) == before
    assert shown(folder) == "zero"


def test_marts_that_do_not_reconcile_are_not_published(small: Path, tmp_path: Path) -> None:
    build(small, "one", status="mismatch")
    assert "1 comparisons in rpt_reconciliation do not add up" in publish(small, tmp_path / "out", status=1)
    assert names(tmp_path / "out") == set()


def test_null_where_the_contract_says_never_is_not_published(small: Path, tmp_path: Path) -> None:
    with closing(duckdb.connect(str(small))) as connection:
        connection.execute("create or replace view marts.fct_invoice_lines as select null::varchar as build_id")
        connection.execute("comment on column marts.fct_invoice_lines.build_id is 'The build. Never null.'")
    assert "NOT NULL constraint failed" in publish(small, tmp_path / "out", status=1)
    with closing(duckdb.connect(str(small))) as connection:
        connection.execute("comment on column marts.fct_invoice_lines.build_id is 'Never null otherwise.'")
    publish(small, tmp_path / "out")


def test_unproven_marts_are_refused_or_say_so(small: Path, tmp_path: Path) -> None:
    build(small, "o'ne", is_proven=False, status="mismatch")
    assert "is not proven" in publish(small, tmp_path / "out", status=1)
    assert not (tmp_path / "out").exists()
    publish(small, tmp_path / "out", "--allow-unproven", "--parquet")
    copy = tmp_path / "out" / "marts.duckdb"
    ((reason, build_id),) = ask(copy, "from marts.not_proven")
    assert build_id == "o'ne"
    assert "ran only a part" in reason
    assert ask(copy, "select count(*) from duckdb_tables() where not contains(upper(comment), 'NOT PROVEN')") == [(0,)]
    assert ask(copy, f"from '{tmp_path}/out/parquet/not_proven.parquet'") == [(reason, build_id)]
    # Proven later, under the same id: the name is another one, for a version never changes.
    build(small, "o'ne")
    publish(small, tmp_path / "out", "--parquet")
    assert names(tmp_path / "out") == {
        *LINKS,
        *("marts-o_ne.2.duckdb", "parquet", "parquet-o_ne.2"),
    }
    assert ask(copy, "select count(*) from duckdb_tables() where table_name = 'not_proven'") == [(0,)]


def test_what_no_model_makes_is_left_out(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(duckdb.connect(str(small))) as connection:
        connection.execute("create table marts.my_notes as select 'secret' as note")
    publish(small, tmp_path / "out")
    assert capsys.readouterr().err == "publish: left out, for no model makes it: 'my_notes'\n"
    assert ask(
        tmp_path / "out" / "marts.duckdb", "select count(*) from duckdb_tables() where table_name = 'my_notes'"
    ) == [(0,)]


def test_what_the_user_put_there_is_not_replaced(small: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "out").mkdir()
    (folder / "marts.duckdb").write_text("mine")
    assert "is not the link that this command makes" in publish(small, folder, status=1)
    assert (folder / "marts.duckdb").read_text() == "mine"
    (folder / "marts.duckdb").unlink()
    (folder / "parquet").mkdir()
    assert "is not the link that this command makes" in publish(small, folder, "--parquet", status=1)
    assert names(folder) == {"parquet"}


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--keep", "0"), 2, "--keep"),
        (("--to", ""), 2, "--to"),
        (("--to", "s3://bucket/marts"), 2, "--to"),
        (("--to", "small.duckdb/out"), 1, "cannot write"),
        (("--warehouse", "nowhere.duckdb"), 1, "there is no warehouse at nowhere.duckdb"),
    ],
)
def test_exit_statuses(
    small: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], status: int, message: str
) -> None:
    monkeypatch.chdir(small.parent)
    assert message in publish(small, Path("out"), *options, status=status)
    assert names(small.parent) == {"small.duckdb"}


# --- Versions, readers, kills --------------------------------------------------------------------------------------


def test_the_newest_builds_are_kept_and_a_removed_one_reads_on(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    publish(small, folder)
    with closing(duckdb.connect(str(folder / "marts.duckdb"), read_only=True)) as reader:
        for build_id in ("two", "three", "four"):
            publish(build(small, build_id), folder)
        assert names(folder) == {*LINKS, "marts-two.duckdb", "marts-three.duckdb", "marts-four.duckdb"}
        assert reader.execute("select distinct build_id from marts.fct_invoice_lines").fetchall() == [("one",)]
    publish(build(small, "two"), folder, "--keep", "1")
    assert (names(folder), shown(folder)) == ({*LINKS, "marts-two.duckdb"}, "two")


def test_a_rerun_of_the_same_build_changes_nothing(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    publish(small, folder, "--parquet")
    before = {path.name: path.lstat().st_ino for path in folder.iterdir() if not path.is_symlink()}
    publish(small, folder, "--parquet")
    assert {path.name: path.lstat().st_ino for path in folder.iterdir() if not path.is_symlink()} == before


@pytest.mark.parametrize("next_build", ["one", "two"])
def test_a_reader_who_writes_and_is_killed_spoils_no_later_version(
    small: Path, tmp_path: Path, next_build: str
) -> None:
    folder = tmp_path / "out"
    publish(small, folder)
    writes = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]); c.execute('create table x as select 1'); os.abort()"
    )
    subprocess.run([sys.executable, "-c", writes, folder / "marts.duckdb"], check=False, capture_output=True)
    assert "marts-one.duckdb.wal" in names(folder)
    publish(build(small, next_build), folder)
    assert shown(folder) == next_build
    assert ask(folder / "marts.duckdb", "select count(*) from duckdb_tables() where table_name = 'x'") == [(0,)]
    publish(build(small, next_build), folder, "--keep", "1")
    assert not [name for name in names(folder) if name.endswith(".wal")]


@pytest.mark.parametrize("is_planted", [False, True])
def test_readers_never_fail_nor_see_two_builds(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_planted: bool
) -> None:
    """Fifty publishes beside readers. Planted: a link that is away for a moment, which the readers must notice."""
    folder = tmp_path / "out"
    publish(small, folder, "--parquet")

    def show(shelf: versions.Versions, path: Path) -> None:
        shelf.link.unlink()
        time.sleep(0.1)
        shelf.link.symlink_to(path.name)

    if is_planted:
        monkeypatch.setattr(versions.Versions, "show", show)
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, folder, kind], text=True, stdout=subprocess.PIPE)
        for kind in ("duckdb", "parquet")
    ]
    for reader in readers:
        assert reader.stdout
        assert reader.stdout.readline() == "ready\n"
    for number in range(5 if is_planted else 50):
        publish(build(small, f"build-{number}"), folder, "--parquet")
    (folder / "stop").touch()
    found = [json.loads(reader.communicate(timeout=60)[0]) for reader in readers]
    assert any(each["problems"] for each in found) == is_planted, found
    assert is_planted or all(each["builds"] > 10 for each in found), found


def test_a_kill_at_any_moment_leaves_a_whole_copy(delivered: Path, small: Path, tmp_path: Path) -> None:
    """A publisher of a larger warehouse is killed while the small one's copy is shown."""
    folder, rng = tmp_path / "out", random.Random(21)
    publish(small, folder, "--parquet")
    began = time.monotonic()
    whole = process(delivered, tmp_path / "other", "--parquet")
    assert whole.wait() == 0
    seconds = time.monotonic() - began
    left = set()
    for _ in range(8):
        running = process(delivered, folder, "--parquet")
        time.sleep(rng.uniform(0.3, 1.05) * seconds)
        running.kill()
        running.wait()
        left |= {name for name in names(folder) if name.startswith(".")}
        ((marts,),) = ask(folder / "marts.duckdb", "select count(*) from duckdb_tables() where schema_name = 'marts'")
        assert marts in (4, len(MARTS))
        assert len(list((folder / "parquet").iterdir())) in (4, len(MARTS))
        if marts != 4:
            publish(build(small, f"again-{rng.random()}"), folder, "--parquet", "--keep", "1")
    assert left, "no kill came while it wrote"
    publish(build(small, "last"), folder, "--parquet", "--keep", "1")
    assert names(folder) == {*LINKS, "marts-last.duckdb", "parquet", "parquet-last"}


def too_small() -> None:
    """Let this process write no file of more than a megabyte."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


def test_a_full_disk_leaves_what_was_published(delivered: Path, small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    publish(small, folder, "--parquet")
    before = names(folder)
    running = process(delivered, folder, "--parquet", preexec_fn=too_small)
    _, stderr = running.communicate()
    assert running.returncode == 1
    assert stderr.startswith(f"publish: cannot write {folder}/marts-")
    assert stderr.count("\n") == 1
    assert "free some space" in stderr
    assert (names(folder), shown(folder)) == (before, "one")


def test_a_disk_that_is_really_full(delivered: Path, small: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        publish(small, disk / "out")
        assert "cannot write" in (message := publish(delivered, disk / "out", status=1))
        assert "the disk is full" in message
        assert (names(disk / "out"), shown(disk / "out")) == ({*LINKS, "marts-one.duckdb"}, "one")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_two_publishers_take_turns(small: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "other.duckdb", "two")
    (folder := tmp_path / "out").mkdir()
    running = [process(warehouse, folder, "--parquet") for warehouse in (small, other, small, other)]
    assert [each.wait() for each in running] == [0, 0, 0, 0]
    assert names(folder) == {
        *LINKS,
        "parquet",
        *(f"marts-{b}.duckdb" for b in ("one", "two")),
        "parquet-one",
        "parquet-two",
    }
    assert str((folder / "marts.duckdb").readlink()) == f"marts-{shown(folder)}.duckdb"
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another process has locked its folder" in publish(small, folder, "--lock-seconds", "0.1", status=1)
    finally:
        os.close(lock)


# --- make monthly ------------------------------------------------------------------------------------------------

STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
case "$*" in *"$FAIL"*) test -n "$FAIL" && exit 1;; esac
case "$*" in *"publish marts"*) exec "$REAL" "$@";; esac
"""


@pytest.mark.parametrize(
    ("fails", "steps"),
    [
        ("extract", ["python -m extract --from 2026-10 --to 2026-10"]),
        ("build", ["python -m extract --from 2026-10 --to 2026-10", "dbt build"]),
        ("", ["python -m extract --from 2026-10 --to 2026-10", "dbt build", "python -m publish marts"]),
    ],
)
def test_the_monthly_job_stops_at_the_first_failure(small: Path, tmp_path: Path, fails: str, steps: list[str]) -> None:
    folder, log = tmp_path / "out", tmp_path / "log"
    publish(small, folder)
    build(small, "two")
    (tools := tmp_path / "bin").mkdir()
    for name in ("python", "dbt"):
        (tools / name).write_text(STUB)
        (tools / name).chmod(0o755)
    environment: Mapping[str, str] = {
        **os.environ,
        **{"LOG": str(log), "FAIL": fails, "REAL": sys.executable, "MIOSA_API_KEY": "msk_given"},
        **{"WAREHOUSE_PATH": str(small), "PUBLISH_PATH": str(folder)},
    }
    command = ["make", "--old-file=setup", f"BIN={tools}", "monthly", "PERIOD=2026-10"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == bool(fails), done.stderr
    assert log.read_text().splitlines() == steps
    assert shown(folder) == ("one" if fails else "two")
