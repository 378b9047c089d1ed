"""What the warehouse says of its own builds, and what `publish` does about it; each command is a process of its own."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from core.database.connection import Query
from pipeline import Run, dbt, query, start_dbt, wait_for_folding
from publish.builds import require_proven, unproven_reason
from publish.cli import outcome
from tenants import Span, seeded_rows

VENDOR = "assert_vendor_figures_reconcile"
SELECTED = ("--select", "stg_miosa__loads", "--indirect-selection", "cautious")


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("builds") / "usage.duckdb")
    run.extract(seeded_rows(1, 60, clock_ends=False), span=Span())
    return run


@pytest.fixture(scope="module")
def modes(extracted: Run) -> Mapping[str, set[int]]:
    """Builds the warehouse by `dbt --warn-error build`. Returns the modes of its files, looked at while dbt ran."""
    warehouse = extracted.warehouse
    found: dict[str, set[int]] = {}
    before = os.umask(0o022)
    try:
        started = start_dbt(warehouse, "build", "--warn-error")
        while started.runs():
            for path in warehouse.parent.glob(f"{warehouse.name}*"):
                try:
                    found.setdefault(path.suffix, set()).add(stat.S_IMODE(path.stat().st_mode))
                except FileNotFoundError:
                    continue
            time.sleep(0.01)
        done = started.wait()
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stdout[-6000:]
    return found


@pytest.fixture
def built(extracted: Run, modes: Mapping[str, set[int]], tmp_path: Path) -> Path:
    """A copy of the warehouse that was built."""
    assert modes
    return extracted.copy(tmp_path).warehouse


def builds(warehouse: Path) -> list[dict[str, Any]]:
    return query(warehouse, "select * from marts.rpt_builds order by build_number")


def deciding(warehouse: Path) -> tuple[str, str, bool]:
    """Kind and status of the run that decides, and whether it proves the marts."""
    ((kind, status, is_proven),) = [
        (row["build_kind"], row["status"], row["is_proven"]) for row in builds(warehouse) if row["is_deciding"]
    ]
    return kind, status, is_proven


def reason(warehouse: Path, *, reads_quota_answers: bool = False) -> str | None:
    with closing(duckdb.connect(str(warehouse), read_only=True)) as connection:
        return unproven_reason(asking(connection), reads_quota_answers=reads_quota_answers)


def asking(connection: duckdb.DuckDBPyConnection) -> Query:
    return lambda sql, values: connection.execute(sql, values).fetchall()


def publish(monkeypatch: pytest.MonkeyPatch, warehouse: Path, *arguments: str) -> tuple[int, str]:
    monkeypatch.setenv("WAREHOUSE_PATH", str(warehouse))
    return outcome(["quotas", *arguments])


def is_refused(monkeypatch: pytest.MonkeyPatch, warehouse: Path, words: str) -> None:
    """Each command that reads the marts ends with one line that says why, and what to do."""
    monkeypatch.setenv("MIOSA_API_KEY", "msk_key")
    for arguments in (("diff",), ("check", "nobody"), ("apply", "--yes")):
        status, line = publish(monkeypatch, warehouse, *arguments)
        assert (status, "\n" in line) == (1, False)
        assert words in line
        assert "run `dbt build`, or go on with --allow-unproven" in line


# What is recorded


def test_a_build_is_recorded_and_proves_the_marts(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (recorded,) = query(built, "select * from builds.history")
    (shown,) = builds(built)
    assert {name: shown[name] for name in recorded} == recorded
    loads = query(built, "select max(load_id) as newest from raw.loads")[0]["newest"]
    assert (recorded["build_kind"], recorded["status"], recorded["failure_count"]) == ("build", "success", 0)
    assert recorded["newest_load_id"] == loads
    assert recorded["node_count"] > 300
    assert recorded["started_at_utc"] < recorded["ended_at_utc"]
    assert recorded["command"] == "dbt build"
    assert (shown["is_deciding"], shown["is_proven"], shown["is_raw_newer"]) == (True, True, False)
    assert query(built, "select invocation_id from build_state.whole_builds")[0]["invocation_id"] == shown["build_id"]
    assert publish(monkeypatch, built, "diff")[0] in (0, 3)


def test_a_part_proves_nothing_and_a_test_that_succeeds_changes_nothing(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = query(built, "select * from builds.history")
    assert dbt(built, "test", *SELECTED).returncode == 0
    assert deciding(built) == ("build", "success", True)
    for command, kind in (("run", "run_selected"), ("seed", "seed"), ("build", "build_selected")):
        more = ("--full-refresh", *SELECTED) if command != "seed" else ()
        assert dbt(built, command, *more).returncode == 0
        assert deciding(built) == (kind, "success", False)
        assert "ran only a part, and no whole build has succeeded since" in str(reason(built))
    is_refused(monkeypatch, built, "ran only a part")
    assert publish(monkeypatch, built, "diff", "--json", "--allow-unproven")[0] in (0, 3)
    shown = capsys.readouterr()
    assert "publish: not proven: `dbt build" in shown.err
    assert '"unproven": "`dbt build' in shown.out
    # Nothing was dropped or rewritten, --full-refresh or not.
    kept = query(built, "select * from builds.history order by build_number")
    assert (kept[0], [row["build_number"] for row in kept]) == (first, [1, 2, 3, 4, 5])


def test_a_failed_test_takes_the_proof_away(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(duckdb.connect(str(built))) as connection:
        connection.execute("insert into builds.history from builds.history")
    assert dbt(built, "test", "--select", "stg_builds__history").returncode == 1
    with closing(duckdb.connect(str(built))) as connection:
        connection.execute("delete from builds.history where rowid = 1")
    assert deciding(built) == ("test_selected", "failed", False)
    is_refused(monkeypatch, built, "failed (1 failures)")


def test_a_failed_reconciliation_says_what_differs_and_leaves_nothing_proven(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(duckdb.connect(str(built))) as connection:
        connection.execute(
            "update marts.rpt_reconciliation set status = 'mismatch', actual_credits = expected_credits + 7,"
            " difference_credits = 7 where check_name like 'facts_vs_vendor%'"
        )
        (differing,) = connection.execute(
            "select count(*) from marts.rpt_reconciliation where status = 'mismatch'"
        ).fetchall()[0]
        user, period, theirs = connection.execute(
            "select external_user_id, billing_period, expected_credits from marts.rpt_reconciliation"
            " where check_name = 'facts_vs_vendor_rollup' order by billing_period, external_user_id limit 1"
        ).fetchall()[0]
    done = dbt(built, "test", "--quiet", "--select", VENDOR, "assert_own_steps_reconcile")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    start = lines.index(f"{VENDOR}: the vendor's figures disagree beyond the tolerance, in credits:")
    first = f"  facts_vs_vendor_rollup, user '{user}', {period}: ours {theirs + 7:f}"
    assert lines[start + 1].startswith(first.rstrip("0").rstrip("."))
    assert f", theirs {theirs:f}".rstrip("0").rstrip(".") in lines[start + 1]
    assert lines[start + 6].startswith(f"  and {differing - 5} more: select * from marts.rpt_reconciliation")
    assert lines[start + 7].startswith("What to do: extract again, then run dbt build")
    assert not [line for line in lines if line.startswith("assert_own_steps_reconcile:")]
    is_refused(monkeypatch, built, "failed (1 failures)")


def test_a_build_that_is_killed_leaves_nothing_proven(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = start_dbt(built, "build")
    until = time.monotonic() + 120
    while "START sql" not in started.stdout.read_text():
        assert time.monotonic() < until
        assert started.runs()
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait().returncode == -signal.SIGKILL
    wait_for_folding(built)
    assert deciding(built) == ("build", "interrupted", False)
    is_refused(monkeypatch, built, "did not come to its end")


def test_a_load_since_then_makes_a_build_old(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer about a quota, as `publish quotas apply` lands it, does so for all but `publish quotas`."""
    landed = "insert into raw.loads select * replace (load_id + 1000 as load_id, '{0}' as resource) from raw.loads"
    with closing(duckdb.connect(str(built))) as connection:
        connection.execute(landed.format("quotas") + " where load_id = 1")
    assert str(reason(built)).startswith("1 loads are newer than `dbt ")
    assert reason(built, reads_quota_answers=True) is None
    assert publish(monkeypatch, built, "diff")[0] in (0, 3)
    with closing(duckdb.connect(str(built))) as connection:
        connection.execute(landed.format("sandboxes") + " where load_id = 2")
    is_refused(monkeypatch, built, "1 loads are newer than")


def test_a_warehouse_of_an_earlier_version_is_not_proven(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(duckdb.connect(str(built))) as connection:
        connection.execute("drop view marts.rpt_builds")
        with pytest.raises(Exception, match="no build of it is recorded"):
            require_proven(asking(connection), built, allow_unproven=False)
    is_refused(monkeypatch, built, "no build of it is recorded")


# What a build leaves, and what it takes


def test_only_the_owner_may_read_the_log_while_dbt_runs(modes: Mapping[str, set[int]]) -> None:
    assert modes == {".duckdb": {0o600}, ".wal": {0o600}}


def test_a_warning_is_an_error_if_dbt_is_told_so(built: Path) -> None:
    """The fixture shows that a build has no warning; here is one."""
    arguments = ("--select", "assert_vendor_bill_agrees")
    with closing(duckdb.connect(str(built))) as connection:
        connection.execute("update marts.rpt_vendor_balance set status = 'mismatch'")
        assert connection.execute("select count(*) > 0 from marts.rpt_vendor_balance").fetchall() == [(True,)]
    assert dbt(built, "test", *arguments).returncode == 0
    assert dbt(built, "test", "--warn-error", *arguments).returncode != 0


@pytest.mark.parametrize(
    "arguments",
    [("build",), ("seed",), ("test", *SELECTED), ("show", "--inline", "select 1")],
)
def test_a_wrong_path_of_the_warehouse_leaves_no_file_behind(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    warehouse = tmp_path / "nowhere" / "usage.duckdb"
    warehouse.parent.mkdir()
    done = dbt(warehouse, *arguments)
    assert done.returncode != 0
    assert f"there is no warehouse at {warehouse}: set WAREHOUSE_PATH" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(warehouse.parent.glob("usage*"))


def test_a_selection_replaces_the_default_selector_and_a_plain_command_has_it(built: Path) -> None:
    plain = dbt(built, "list", "--resource-type", "unit_test").stdout
    assert "rule_32" not in plain
    selected = dbt(built, "list", "--resource-type", "unit_test", "--select", "int_builds").stdout
    assert "rule_32_the_newest_run_that_changed_tables_decides" in selected
    everything = dbt(built, "list", "--exclude", "rpt_reconciliation", "--resource-type", "unit_test").stdout
    assert "rule_32_the_newest_run_that_changed_tables_decides" in everything
