"""SIGKILL at any moment of a close leaves the period closed whole or not at all, and what the marts show agrees.

The run that closes is killed anywhere in its life, but mostly while it closes. On its way there it is frozen now and
then: what its file and log hold at that moment is what a kill would leave, and is examined like the rest. A run
afterwards starts from the file as the kill left it, and closes the period, or says that it is closed already. Either
way the warehouse is the one that an undisturbed close gives. `--full` kills more often.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

import billing_path
import histories
import pipeline
from billing_path import Table
from histories import Outcome
from tenants import Span

MONTHS = ("2026-02", "2026-03", "2026-04")
FIRST, PERIOD = MONTHS[:2]
"""The period that was closed before, and the one whose close is killed; it has adjustments of the first."""

KINDS = ("in the closing", "after the commit")
KINDS_IN_FULL = ("anywhere", "at the commit", "after the commit", "in the closing")
"""Where a run is killed, in turn. Each kill costs a build, so `make test` takes the two moments that matter most."""

KILLS_IN_FULL = 52
PHOTOGRAPHS = 4
"""How often a run that comes so far is frozen at random while it closes, and again from when its log grows with the
commit. A kill costs a whole build and its tests, a photograph next to nothing."""

TEARS = 6
"""How many beginnings of what the commit appends to the log are looked at."""

POLL_SECONDS = 0.0003

DIGESTS = {"closed_at_utc", "invocation_id", "checksum", "cost_checksum"}
"""What differs from close to close: the time, the run, and the checksum over both."""

AGREEING = (
    (
        "select line_id, invoice_id, quantity_credits, amount_minor, description, closed_at_utc"
        " from marts.fct_invoice_lines where status = 'closed'",
        "select line_id, invoice_id, quantity_credits, amount_minor, description, closed_at_utc"
        " from ledger.closed_invoice_lines",
    ),
    (
        "select line_id, session_id, usage_date, credits, amount, external_project_id from marts.fct_invoice_line_usage"
        " where status = 'closed'",
        "select line_id, session_id, usage_date, credits, amount, external_project_id from ledger.closed_line_usage",
    ),
    (
        "select invoice_id, sum(amount_minor), any_value(closed_at_utc) from marts.fct_invoices"
        " where status = 'closed' group by invoice_id",
        "select invoice_id, sum(amount_minor), any_value(closed_at_utc) from ledger.closed_invoice_lines"
        " group by invoice_id",
    ),
    (
        "select billing_period, closed_at_utc from marts.dim_billing_periods where is_closed",
        "select billing_period, closed_at_utc from ledger.closed_periods",
    ),
    (
        "select count(*) from marts.fct_invoice_lines"
        " where status = 'open' and invoice_period <= (select max(billing_period) from ledger.closed_periods)",
        "select 0",
    ),
)
"""What the marts show as closed, and what the ledger holds: the same, row by row, at every moment."""


# --- What must hold at every moment --------------------------------------------------------------------------------


def log_of(warehouse: Path) -> Path:
    """The write-ahead log beside a file."""
    return warehouse.with_name(f"{warehouse.name}.wal")


def copy(warehouse: Path, other: Path) -> None:
    """Put a file and its log in the place of another."""
    other.parent.mkdir(exist_ok=True)
    log_of(other).unlink(missing_ok=True)
    shutil.copy(warehouse, other)
    if log_of(warehouse).exists():
        shutil.copy(log_of(warehouse), log_of(other))


def size_of(path: Path) -> int:
    """A file's size; -1 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def settled(warehouse: Path, schema: str) -> dict[str, Table]:
    """All rows of a schema but for what differs from close to close; whether there is a time stays.

    They are ordered by what is left: the time of a close would order them otherwise each time.
    """
    return {
        name: sorted(
            (
                tuple((column, value is not None if column in DIGESTS else value) for column, value in row)
                for row in rows
            ),
            key=repr,
        )
        for name, rows in billing_path.tables(warehouse, schema).items()
    }


@dataclass
class Scene:
    """A warehouse that is ready to close a period, and what an undisturbed close makes of it."""

    folder: Path
    outcome: Outcome
    """The step whose period closes."""
    statements: int = 0
    """How many statements the undisturbed run sent while it closed."""
    seconds: float = 0
    """How long it took until it closed."""
    seconds_after: float = 0
    """How long it lived from when it said that the period is closed."""
    before: dict[str, Table] = field(default_factory=dict)
    after: dict[str, Table] = field(default_factory=dict)
    """The ledger before the close, and after it."""
    marts: dict[str, Table] = field(default_factory=dict)
    """The marts after it."""

    @property
    def ready(self) -> Path:
        """The file before the close."""
        return self.folder / "ready" / "usage.duckdb"

    @property
    def warehouse(self) -> Path:
        """The file that is closed: always under this name, so that dbt need not parse the project each time."""
        return self.folder / "usage.duckdb"

    def start(self) -> Closing:
        """Start closing."""
        return Closing(self.warehouse, billing_path.variables_of(self.outcome.step.state, PERIOD))

    def is_closed(self, warehouse: Path) -> bool:
        """Whether the period is closed. Checks that it is so whole or not at all, and that the marts agree."""
        intact = self.folder.glob("target/compiled/*/tests/reconciliation/assert_ledger_is_intact.sql")
        with closing(duckdb.connect(str(warehouse), read_only=True)) as connection:
            assert connection.execute(next(intact).read_text("utf-8")).fetchall() == []
            for shown, frozen in AGREEING:
                differ = f"({shown} except all {frozen}) union all ({frozen} except all {shown})"
                assert connection.execute(differ).fetchall() == [], f"the marts and the ledger differ: {shown}"
        ledger = settled(warehouse, "ledger")
        assert ledger in (self.before, self.after), "the period is closed in part"
        return ledger == self.after

    def check_closed(self) -> None:
        """The warehouse is the one of an undisturbed close, and does not close again."""
        marts = settled(self.warehouse, "marts")
        assert [name for name in self.marts if marts[name] != self.marts[name]] == []
        exact = billing_path.tables(self.warehouse, "ledger")
        again = self.start()
        assert again.wait() not in (0, -signal.SIGKILL)
        assert f"{PERIOD} was not closed: it has been closed already" in again.said
        assert billing_path.tables(self.warehouse, "ledger") == exact
        assert self.is_closed(self.warehouse)


class Closing:
    """A running close, and how far it has come."""

    def __init__(self, warehouse: Path, variables: dict[str, Any]) -> None:
        """Start it."""
        self.warehouse, self.statements = warehouse, 0
        self.is_done = self.is_ending = False
        self.status: int | None = None
        self._lines: list[str] = []
        self._line = ""
        self._process = pipeline.start_dbt(
            *(warehouse, "build", "--log-level", "debug", "--threads", "2", "--exclude-resource-type", "unit_test"),
            variables=variables,
            seeds=warehouse.parent / "seeds",
            # So that a commit to this repository while the test runs makes no close another one.
            environment={"CODE_VERSION": "of the test"},
        )
        self.began = time.monotonic()
        self._stdout = self._process.stdout.open(encoding="utf-8")

    @property
    def said(self) -> str:
        """What it has said so far."""
        return "\n".join(self._lines)

    def _listen(self) -> None:
        """Read what it has said since, whole lines at a time."""
        *lines, self._line = (self._line + self._stdout.read()).split("\n")
        self._lines += lines
        for line in lines:
            if self.statements and "Using duckdb connection" in line:
                self.statements += 1
            elif line.lstrip().startswith("insert into ledger.closed_invoice_lines"):
                self.statements = 1
            self.is_done = self.is_done or f"{PERIOD} is closed: " in line
            self.is_ending = self.is_ending or ("Finished running " in line and " node " not in line)

    def runs(self) -> bool:
        """Whether it has not ended. Looks how far it has come."""
        self._listen()
        return self._process.runs()

    def wait(self) -> int:
        """Wait for its end. Returns its exit status."""
        if self.status is None:
            self.status = self._process.wait().returncode
            pipeline.wait_for_folding(self.warehouse)
            self._listen()
            self._stdout.close()
        return self.status

    def wait_for(self, statements: int = 0, seconds: float = 0) -> None:
        """Wait until it has sent so many statements of the closing, and so long since its start; or for its end."""
        while self.runs() and (self.statements < statements or time.monotonic() - self.began < seconds):
            time.sleep(POLL_SECONDS)

    def wait_until_done(self) -> None:
        """Wait until it says that the period is closed; or for its end."""
        while self.runs() and not self.is_done:
            time.sleep(POLL_SECONDS)

    def wait_for_commit(self) -> None:
        """Wait until the log grows while it closes: nothing else is committed then."""
        self.wait_for(statements=2)
        size = size_of(log_of(self.warehouse))
        while self.runs() and size_of(log_of(self.warehouse)) == size:
            time.sleep(POLL_SECONDS)

    def photograph(self, place: Path) -> bool:
        """Freeze it, and copy its file and log as they are. Returns whether it still ran and held the file."""
        if not self.runs():
            return False
        try:
            os.kill(self._process.pid, signal.SIGSTOP)
            while not self._is_frozen():
                if not self.runs():
                    return False
                time.sleep(POLL_SECONDS)
            self._listen()
            if self.is_ending:  # from here on the log may be folded in by a process that no kill reaches
                return False
            copy(self.warehouse, place)
        except ProcessLookupError:
            return False
        else:
            return True
        finally:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGCONT)

    def _is_frozen(self) -> bool:
        """Whether each of its threads stands still."""
        stats = [stat.read_text() for stat in Path(f"/proc/{self._process.pid}/task").glob("*/stat")]
        return bool(stats) and all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)

    def kill(self) -> bool:
        """Kill it. Returns whether it still ran; fails where it ended otherwise than well."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        assert self.wait() in (0, -signal.SIGKILL), self.said[-6000:]
        return self.status != 0


# --- The scene -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A few histories: a period is closed, much is found afterwards, and the next is ready to close."""
    schedule = histories.make_schedule(5, 2, MONTHS, FIRST)
    schedule = replace(schedule, closes=(True, True))
    several = [histories.make_history(5000 + number, schedule, number, changes=5) for number in range(12)]
    folder = tmp_path_factory.mktemp("scene")
    first, second = histories.replay(histories.merge(several))
    scene = Scene(folder, second)
    for outcome, period in ((first, FIRST), (second, None)):
        billing_path.land(outcome.step.state, scene.warehouse, Span(MONTHS[0], MONTHS[-1]))
        histories.write_seeds(outcome.step.state.prices, folder / "seeds")
        if period:
            variables = billing_path.variables_of(outcome.step.state, period)
            pipeline.build(
                scene.warehouse, "--exclude-resource-type", "unit_test", variables=variables, seeds=folder / "seeds"
            )
    copy(scene.warehouse, scene.ready)
    scene.before = settled(scene.warehouse, "ledger")
    undisturbed = scene.start()
    undisturbed.wait_for(statements=1)
    scene.seconds = time.monotonic() - undisturbed.began
    undisturbed.wait_until_done()
    done = time.monotonic()
    # Until the process itself has ended: folding the log in, which goes on in another one, is not its life.
    while undisturbed.runs():
        time.sleep(POLL_SECONDS)
    scene.seconds_after = time.monotonic() - done
    assert undisturbed.wait() == 0, undisturbed.said[-6000:]
    scene.statements = undisturbed.statements
    scene.after, scene.marts = settled(scene.warehouse, "ledger"), settled(scene.warehouse, "marts")
    return scene


def kill_at(run: Closing, kind: str, scene: Scene, rng: random.Random) -> tuple[bool, list[Path]]:
    """Kill a run at a moment of a kind. Returns whether it still ran, and the photographs taken on the way."""
    photographs: list[Path] = []

    def photograph() -> None:
        place = scene.folder / f"photograph-{len(photographs)}" / "usage.duckdb"
        if run.photograph(place):
            photographs.append(place)

    if kind == "anywhere":
        run.wait_for(seconds=rng.uniform(0.1, 1) * scene.seconds)
        return run.kill(), photographs
    for statement in sorted(rng.sample(range(1, scene.statements * 3 // 4), PHOTOGRAPHS)):
        run.wait_for(statements=statement)
        time.sleep(rng.uniform(0, 0.01))
        photograph()
    if kind == "at the commit":
        run.wait_for_commit()
        for _ in range(PHOTOGRAPHS):
            photograph()
            time.sleep(rng.uniform(0, 0.002))
    elif kind == "after the commit":
        run.wait_until_done()
        # With those before it, what the commit appended, whether or not one was taken in its middle.
        photograph()
        time.sleep(rng.uniform(0, 0.7) * scene.seconds_after)
    return run.kill(), photographs


def tear(scene: Scene, before: Path, after: Path, rng: random.Random) -> list[bool]:
    """Whether the period is closed when only a part of what the commit appended to the log was written.

    A commit is over too soon to be met often. But it only appends, so that a kill in its middle leaves a beginning.
    """
    found, torn = [], scene.folder / "torn" / "usage.duckdb"
    assert before.read_bytes() == after.read_bytes(), "the close wrote to the file itself"
    first, last = size_of(log_of(before)), size_of(log_of(after))
    assert 0 <= first < last
    ends = {first, first + 1, last - 1, last, *(rng.randrange(first, last) for _ in range(TEARS))}
    for end in sorted(ends):
        copy(after, torn)
        os.truncate(log_of(torn), end)
        found.append(scene.is_closed(torn))
    assert found == sorted(found), "more of the log closed less"
    return found


def kill_often(scene: Scene, kinds: Sequence[str], kills: int, seed: int) -> Counter[tuple[str, bool]]:
    """Kill so many runs, each from what the one before left, until one leaves the period closed.

    The moments are of these kinds, in turn. Returns how often a kind of kill, or of photograph, found the period
    open (False) or closed (True).
    """
    rng, found = random.Random(seed), Counter[tuple[str, bool]]()
    copy(scene.ready, scene.warehouse)
    killed = 0
    for attempt in range(3 * kills):
        kind = kinds[killed % len(kinds)]
        was_killed, photographs = kill_at(scene.start(), kind, scene, rng)
        states = [scene.is_closed(photograph) for photograph in photographs]
        found.update((f"photograph {kind}", state) for state in states)
        if False in states and True in states:
            torn = tear(scene, photographs[states.index(True) - 1], photographs[states.index(True)], rng)
            found.update(("in the commit", state) for state in torn)
        for photograph in photographs:
            shutil.rmtree(photograph.parent)
        is_closed = scene.is_closed(scene.warehouse)
        assert is_closed or was_killed, f"attempt {attempt} ended well and closed nothing"
        if was_killed:
            found[kind, is_closed] += 1
            killed += 1
        if killed == kills and not is_closed:  # nobody disturbs this one
            last = scene.start()
            assert last.wait() == 0, last.said[-6000:]
            is_closed = True
        if is_closed:
            scene.check_closed()
            copy(scene.ready, scene.warehouse)
        if killed == kills:
            return found
    raise AssertionError(f"most runs ended before they were killed: {found}")


def check_kills(found: Counter[tuple[str, bool]], kinds: Sequence[str], kills: int) -> None:
    """The kills were where they should be, and found both states."""
    assert sum(found[kind, is_closed] for kind in kinds for is_closed in (False, True)) == kills
    in_turn = kills // len(kinds)
    assert found["after the commit", True] == in_turn
    assert found["in the closing", False] + found["photograph in the closing", False] > in_turn
    assert found["in the commit", False] >= TEARS // 2
    assert found["in the commit", True] >= 1


def test_rule_23_sigkill_at_any_moment_of_a_close_closes_whole_or_not_at_all(scene: Scene) -> None:
    check_kills(kill_often(scene, KINDS, len(KINDS), 1), KINDS, len(KINDS))


@pytest.mark.slow
def test_many_more_kills(scene: Scene) -> None:
    check_kills(kill_often(scene, KINDS_IN_FULL, KILLS_IN_FULL, 2), KINDS_IN_FULL, KILLS_IN_FULL)


def test_there_is_much_to_lose(scene: Scene) -> None:
    """The close that is killed has lines and pieces of many users, and adjustments of the period before."""
    added = len(scene.after["closed_invoice_lines"]) - len(scene.before["closed_invoice_lines"])
    assert added > 30
    assert len(scene.after["closed_line_usage"]) > len(scene.before["closed_line_usage"]) + 30
    assert sum(("line_type", "adjustment") in row for row in scene.after["closed_invoice_lines"]) > 5


HALVES = (
    "insert into ledger.closed_invoice_lines select * replace ('x' as line_id, '{0}' as invoice_period)"
    " from ledger.closed_invoice_lines limit 1",
    "insert into ledger.closed_line_usage select * replace ('{0}' as invoice_period)"
    " from ledger.closed_line_usage limit 1",
    "insert into ledger.closed_periods select * replace ('{0}' as billing_period) from ledger.closed_periods limit 1",
    "update intermediate.int_usage_periods set is_closed = true where billing_period = '{0}'",
    "update intermediate.int_invoice_lines set status = 'closed' where invoice_period = '{0}'",
    "update marts.fct_invoices set status = 'closed' where invoice_period = '{0}'",
)
"""Closes that were cut in two."""


@pytest.mark.parametrize("half", HALVES)
def test_the_check_sees_a_close_that_is_half_there(scene: Scene, tmp_path: Path, half: str) -> None:
    warehouse = tmp_path / "half" / "usage.duckdb"
    copy(scene.ready, warehouse)
    assert not scene.is_closed(warehouse)
    with closing(duckdb.connect(str(warehouse))) as connection:
        connection.execute(half.format(PERIOD))
    with pytest.raises(AssertionError):
        scene.is_closed(warehouse)
