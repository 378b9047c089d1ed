"""The one place that writes the raw layer: staging, proof of completeness, versions, voids, and the transaction.

Rows are staged in a temporary table as they come, and landed window by window once a window is proven complete.
Everything that can be is set-based; Python looks at single rows only where JSON texts differ in bytes (do they say the
same?), hold repeated keys, or list one id twice with different content.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import resources
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import duckdb
import tenacity

from core import __version__, canonical
from core.api.pages import SEPARATOR, Page
from core.checkpoint import NEVER_CHECKPOINT, Folding, create
from core.clock import utc_now
from core.database_path import check_place
from core.errors import ConfigurationError, ShortOfMemoryError, WarehouseError
from core.file_locks import holder, is_held, open_when_free
from core.settings import next_month
from extract import statements

logger = logging.getLogger("miosa_billing")

_MEMORY = "200MB"
# Where rows are so large that this does not do. DuckDB takes rows by 2,048, and each thread has some at hand.
_MORE_MEMORY = ("set memory_limit = '800MB'; set threads = 1", "set memory_limit = '3200MB'")
_MOST_THREADS = 4
_BUFFERED_ROWS = 5_000
_BUFFERED_CHARACTERS = 4 << 20
_FETCHED = 1_000
_FIELDS_A_LANDING = 100
# Groups of rows that a million rows can be sorted and written in within `_MEMORY`.
_PARQUET = "format parquet, compression zstd, row_group_size 20480, use_tmp_file false"
BRAKE_FROM = 10
"""How many voids it takes at least for a run to stop and ask."""
# Sessions that start earlier are rejected (rule 37), so they must not make a run ask for hundreds of months. It is the
# default of the dbt variable `earliest_session_date`, which the extractor cannot see.
_EARLIEST_SESSION = datetime(2020, 1, 1)

# The fields that the vendor's pages and clients name. Others are kept too, and reported when first seen.
_KNOWN_FIELDS = {
    "usage_sessions": [
        *("id", "computer_id", "started_at", "ended_at", "duration_sec", "credit_cost", "credits_used"),
        *("external_user_id", "external_workspace_id", "external_project_id", "workspace_id", "project_id"),
    ],
}


@dataclass(slots=True)
class Load:
    """One resource and one window, from its reading to its landing."""

    resource: str
    number: int
    window_start: datetime | None = None
    window_end: datetime | None = None
    started_at: datetime = datetime.min
    ended_at: datetime = datetime.min
    pages: int = 0
    total: int | None = None
    rows: int = 0
    distinct_ids: int = 0
    unidentified: int = 0
    conflicts: int = 0
    rows_added: int = 0

    @property
    def proven(self) -> int:
        """How many rows the load proves that the list has: distinct ids, and rows without a usable one."""
        return self.distinct_ids + self.unidentified

    def __str__(self) -> str:
        """The load as a message names it."""
        name = self.resource.replace("_", " ")
        if self.window_start is None or self.window_end is None:
            return name
        last = self.window_end - timedelta(days=1)
        days = f"{self.window_start:%Y-%m-%d}"
        return f"{name} of {days}" if last <= self.window_start else f"{name} of {days} to {last:%Y-%m-%d}"


@dataclass(slots=True)
class _Buffer:
    """Rows of one load on their way into staging."""

    texts: list[str] = field(default_factory=list)
    normalized: list[str | None] = field(default_factory=list)
    has_normalized: bool = False
    answers: list[tuple[int, str, int | None, str | None, str | None]] = field(default_factory=list)
    """Answers that are a row as a whole: place, key, status, text, normalized text. Such loads have no texts."""
    rows: int = 0
    characters: int = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to stage what is here."""
        return self.rows >= _BUFFERED_ROWS or self.characters >= _BUFFERED_CHARACTERS


@dataclass(frozen=True, slots=True)
class QuotaChange:
    """A change of a user's quota at the vendor, as `raw.quota_changes` tells of it (see schema.sql)."""

    change_id: str
    external_user_id: str
    method: str
    http_status: int | None = None
    payload: str | None = None
    is_in_force: bool | None = None
    error: str | None = None


Result = TypeVar("Result")
Rows = list[tuple[Any, ...]]
Query = Callable[[str, Sequence[Any]], Rows]
"""Runs a statement with its values, and gives its rows."""


@contextlib.contextmanager
def reading(path: Path, lock_seconds: float) -> Iterator[Query]:
    """Read a warehouse that is there, and change nothing. Raises `WarehouseError`."""
    if not path.exists():
        raise WarehouseError(f"there is no warehouse at {path}: run `python -m extract`, then `dbt build`")
    try:
        _check_head(path)
    except OSError as error:
        raise WarehouseError(f"cannot read {path} ({error.strerror}): set WAREHOUSE_PATH to another place") from error
    with contextlib.closing(_open(path, lock_seconds, read_only=True)) as connection:

        def query(sql: str, values: Sequence[Any] = ()) -> Rows:
            try:
                return connection.execute(sql, list(values)).fetchall()
            except duckdb.Error as error:
                raise _failure(error, path) from error

        yield query


class Warehouse:
    """The warehouse file, held open for writing. Close it, or use it as a context manager."""

    def __init__(
        self,
        path: Path,
        lock_seconds: float = 30.0,
        id_check: str | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        """Check the file and its folder, open it, and create what is missing.

        `id_check` tells under which key ids become pseudonyms (None: they do not); `on_close` is called once the file
        is closed again. Raises `WarehouseError`, or `ConfigurationError` where the file holds ids of the other kind.
        """
        self._path = path
        self._id_check = id_check
        self._on_close = on_close
        self._run_id = str(uuid.uuid4())
        _check_file(path)
        self._connection = _connect(path, lock_seconds)
        self._buffers: dict[int, _Buffer] = {}
        self._staged: dict[int, int] = {}
        self._familiar: set[str] = set()  # fields that no page of the vendor's names, and that were seen before
        try:
            for suffix in ("", ".wal"):
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    path.with_name(path.name + suffix).chmod(0o600)
            self._execute(resources.files("extract").joinpath("schema.sql").read_text("utf-8"))
            self._check_ids()
            self._execute(statements.STAGING)
            self._loads_before = self._last_load()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Warehouse:
        """Use the warehouse until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file. What is not committed is gone."""
        self._connection.close()
        if self._on_close:
            self._on_close()

    def _check_ids(self) -> None:
        """Refuse to mix plain ids and pseudonyms, or pseudonyms of two keys: one user would be two."""
        stored, has_loads = self._execute(statements.ID_CHECK).fetchone() or (None, False)
        if stored == self._id_check or not has_loads:
            return
        if stored is None:
            what = "holds ids as they are: unset MIOSA_ID_HASH_KEY"
        elif self._id_check is None:
            what = "holds pseudonyms: set MIOSA_ID_HASH_KEY to the key that made them"
        else:
            what = "holds pseudonyms made with another key: set MIOSA_ID_HASH_KEY to that one"
        raise ConfigurationError(f"{self._path} {what}, or set WAREHOUSE_PATH to a new file")

    # Staging

    def stage_page(self, load: Load, page: Page) -> None:
        """Keep a page's rows, in page order, until their load lands or is dropped."""
        if not page.count:
            return
        buffer = self._buffers.setdefault(load.number, _Buffer())
        if page.normalized is not None and not buffer.has_normalized:
            buffer.normalized = [None] * buffer.rows
            buffer.has_normalized = True
        if buffer.has_normalized:
            buffer.normalized += page.normalized or [None] * page.count
        buffer.texts.append(page.text)
        buffer.rows += page.count
        buffer.characters += len(page.text)
        if buffer.is_full:
            self._flush(load.number)

    def stage_answer(
        self, load: Load, place: int, key: str, status: int | None, payload: str | None, normalized: str | None
    ) -> None:
        """Keep an answer that is one row as a whole, under the key it was asked for by."""
        buffer = self._buffers.setdefault(load.number, _Buffer())
        buffer.answers.append((place, key, status, payload, normalized))
        buffer.rows += 1
        buffer.characters += len(payload or "")
        if buffer.is_full:
            self._flush(load.number)

    def drop(self, load: Load) -> None:
        """Forget what is staged of a load: it failed, or is read anew."""
        self._buffers.pop(load.number, None)
        if self._staged.pop(load.number, 0):
            self._execute("delete from staged where load_number = ?", [load.number])

    def _flush(self, number: int) -> None:
        """Move a load's buffer into the staging table."""
        buffer = self._buffers.pop(number, None)
        if buffer is None:
            return
        first = self._staged.get(number, 0)
        values: list[Any] = [number, first, first + buffer.rows, SEPARATOR.join(buffer.texts)]
        if buffer.answers:
            statement, values = statements.STAGE_ANSWERS, [number, *_columns(buffer.answers)]
        elif buffer.has_normalized:
            statement, values = statements.STAGE_NORMALIZED, [*values, buffer.normalized]
        else:
            statement = statements.STAGE
        added = self._with_memory(lambda: self._execute(statement, values).fetchone())
        if added != (buffer.rows,):
            raise WarehouseError(f"staging took {added} rows of {buffer.rows}: please report this")
        self._staged[number] = first + buffer.rows

    # Landing

    def examine(self, loads: Sequence[Load]) -> None:
        """Parse what is staged of these loads, which makes their counts known. `land` or `drop` comes next."""
        for load in loads:
            self._flush(load.number)
            load.rows = load.distinct_ids = load.unidentified = load.conflicts = 0
        if any(self._staged.get(load.number) for load in loads):
            self._with_memory(lambda: self._examine(loads))

    def _examine(self, loads: Sequence[Load]) -> None:
        """Parse and count what is staged. It may be done again."""
        has_repeated = False
        self._execute("delete from examined")
        self._execute(statements.EXAMINE, _columns([(load.number, load.started_at, load.window_end) for load in loads]))
        self._normalize()
        self._execute(statements.PARSE)
        self._key_unidentified()
        counts = {row[0]: row[1:] for row in self._execute(statements.COUNT).fetchall()}
        for load in loads:
            if load.number in counts:
                load.rows, load.distinct_ids, load.unidentified, repeated = counts[load.number]
                has_repeated = has_repeated or repeated > 0
        conflicts = self._conflicts() if has_repeated else {}
        for load in loads:
            load.conflicts = conflicts.get(load.number, 0)

    def land(self, loads: Sequence[Load], *, notes_asked: bool = False) -> None:
        """Land loads of one resource that were examined and found complete, in this order, in one transaction.

        With `notes_asked`, the keys that they asked for count as `asked` until `forget_asked`.
        """
        if not loads:
            return
        resource, has_rows = loads[0].resource, any(load.rows for load in loads)

        def land_whole() -> int:
            with self._transaction():
                last = self._last_load()
                added = self._land_rows(resource, loads, last) if has_rows else {}
                if notes_asked:
                    self._execute(statements.REMEMBER_ASKED)
                for load in loads:
                    load.rows_added = added.get(load.number, 0)
                self._insert_loads(loads, last)
            return last

        last = self._with_memory(land_whole)
        if has_rows:
            self._report_drift(resource, last + 1)
            for load in loads:
                self._staged.pop(load.number, None)
            self._execute(statements.KEEP_REST if self._staged else "truncate staged")

    def _last_load(self) -> int:
        """The id of the load that was landed last; 0 for none."""
        last = self._execute("select coalesce(max(load_id), 0) from raw.loads").fetchone()
        return int(last[0]) if last else 0

    def _land_rows(self, resource: str, loads: Sequence[Load], last: int) -> dict[int, int]:
        """Land the rows of loads that follow load `last`, and tell how many each added."""
        self._execute(statements.NUMBER_LOADS, [last, [load.number for load in loads]])
        self._execute(statements.HISTORY[resource])
        self._execute(statements.FIRSTS)
        self._execute(statements.FOUND)
        self._decide_spelling()
        self._decide_contested()
        self._execute(statements.CHOSEN)
        self._execute(statements.INSERT[resource])
        added = {row[0]: row[1] for row in self._execute(statements.ADDED).fetchall()}
        if resource == "usage_sessions":
            self._execute(statements.REMEMBER_LISTED)
            self._execute(statements.NOTE_LISTED_MONTHS)
            self._execute(statements.REMEMBER_CROSSING)
            self._execute(statements.REMEMBER_UNSETTLED, [self._loads_before])
        elif resource == "sandboxes" and self._execute(statements.NEW_OWNERS).fetchone() != (0,):
            self._execute(statements.NOTE_OWNED_MONTHS)
        return added

    def _insert_loads(self, loads: Sequence[Load], last: int) -> None:
        """Write the rows of loads that follow load `last`; beside the first, under which key ids are pseudonyms."""
        if self._id_check is not None:
            self._execute(statements.INSERT_ID_CHECK, [self._id_check])
        ids, resources, *others = _columns(
            [
                (
                    load_id,
                    load.resource,
                    load.window_start,
                    load.window_end,
                    load.started_at,
                    load.ended_at,
                    load.pages,
                    load.rows,
                    load.distinct_ids,
                    load.total,
                    load.rows_added,
                )
                for load_id, load in enumerate(loads, last + 1)
            ]
        )
        self._execute(statements.INSERT_LOADS, [ids, self._run_id, resources, *others, __version__])

    def _normalize(self) -> None:
        """Give rows that DuckDB would read differently (repeated keys) or not at all a normalized text."""
        if not self._execute(statements.SHAPES).fetchone():
            return
        while rows := self._execute(statements.MISSHAPEN).fetchmany(_FETCHED):
            self._execute_many(
                "update staged set normalized = ? where load_number = ? and place = ?",
                [[canonical.normalize(payload), number, place] for number, place, payload in rows],
            )

    def _conflicts(self) -> dict[int, int]:
        """How many keys each load lists with more than one content, however the same content may be spelt."""
        conflicts: dict[int, int] = {}
        for number, *_, contents in self._execute(statements.REPEATED).fetchall():
            if any(not canonical.is_same(contents[0], other) for other in contents[1:]):
                conflicts[number] = conflicts.get(number, 0) + 1
        return conflicts

    def _key_unidentified(self) -> None:
        """Key rows without a usable id by what they say, and by how often the load has said it."""
        rows = self._execute(statements.UNIDENTIFIED)
        seen: dict[tuple[int, str], int] = {}
        keys: list[list[Any]] = []
        while chunk := rows.fetchmany(_FETCHED):
            for number, place, payload in chunk:
                digest = canonical.digest(payload)
                seen[number, digest] = occurrence = seen.get((number, digest), 0) + 1
                keys.append([number, place, f"{digest}#{occurrence}"])
        if keys:
            self._execute(statements.SET_KEYS, _columns(keys))

    def _decide_spelling(self) -> None:
        """Of rows whose bytes differ from their current version's, find those that say the same all the same."""
        rows = self._execute(statements.DIFFERENT)
        same: list[int] = []
        while chunk := rows.fetchmany(_FETCHED):
            same += [sequence for sequence, new, old in chunk if canonical.is_same(new, old)]
        self._execute("insert into unchanged select unnest(?::bigint[])", [same])

    def _decide_contested(self) -> None:
        """Decide keys that the loads at hand list with more than one content, version by version."""
        rows = self._execute(statements.CONTESTED).fetchall()
        if not rows:
            return
        unchanged: list[int] = []
        for _, versions in groupby(rows, key=lambda row: (row[0], row[1])):
            unchanged += self._unchanged_of(list(versions))
        self._execute("insert into unchanged select unnest(?::bigint[])", [unchanged])

    def _unchanged_of(self, rows: list[tuple[Any, ...]]) -> list[int]:
        """Of one contested key's listed rows, in order, those that add nothing."""
        row_key, has_id, row_hash = rows[0][:3]
        history = self._execute(statements.VERSIONS, [row_hash, row_key, has_id]).fetchall()
        current: list[str] = []  # the contents that the load of the current version brought, in order
        is_void = False
        if history:
            last_load = history[-1][0]
            current = [payload for load_id, payload, _ in history if load_id == last_load and payload is not None]
            is_void = bool(history[-1][2])
        unchanged: list[int] = []
        for _, listed in groupby(rows, key=lambda row: row[3]):
            of_load = list(listed)
            brought = [row[5] for row in of_load]
            if current and not is_void and _same_contents(current, brought):
                unchanged += [row[4] for row in of_load]
                continue
            kept: list[str] = []
            latest = None if is_void or not current else current[-1]
            for row in of_load:
                if latest is not None and canonical.is_same(latest, row[5]):
                    unchanged.append(row[4])
                else:
                    kept.append(row[5])
                    latest = row[5]
            if kept:
                current = kept
            is_void = False
        return unchanged

    def _report_drift(self, resource: str, first_load: int) -> None:
        """Tell of fields that no page of the vendor's names, when they are first seen."""
        known = _KNOWN_FIELDS.get(resource)
        if not known:
            return
        unknown = {name for (name,) in self._execute(statements.UNKNOWN_FIELDS, [known]).fetchall()} - self._familiar
        # Each costs a look at history, and a hostile row may have any number.
        for name in sorted(unknown)[:_FIELDS_A_LANDING]:
            self._familiar.add(name)
            if not self._execute(statements.SEEN_BEFORE, [first_load, name]).fetchone():
                logger.warning("the API's sessions have a field not known before, kept as it is: %s", repr(name)[:80])

    # Voids

    def find_unlisted(
        self, windows: Sequence[tuple[datetime, datetime]], running_until: datetime | None
    ) -> tuple[int, int]:
        """Find sessions whose start and end lie in these windows and that no load of this run listed.

        A running session has to be covered up to `running_until`, or (None) as far as it was known. Returns how many
        there are, and how many sessions the windows cover, where that is looked at. `land_voids` voids them.
        """
        self._execute("delete from covered_windows")
        self._execute_many("insert into covered_windows values (?, ?)", [[*window] for window in windows])
        self._execute(statements.HISTORY["usage_sessions"])
        self._execute(statements.UNLISTED, {"running_until": running_until})
        found = self._execute("select count(*) from unlisted").fetchone()
        unlisted = int(found[0]) if found else 0
        covered = 0
        if unlisted >= BRAKE_FROM:
            counted = self._execute(statements.COVERED, {"running_until": running_until}).fetchone()
            covered = int(counted[0]) if counted else 0
        return unlisted, covered

    def land_voids(self, load: Load) -> None:
        """Void what `find_unlisted` found, in a load of its own."""
        with self._transaction():
            last = self._last_load()
            added = self._execute(statements.INSERT_VOIDS, [last + 1]).fetchone()
            load.rows_added = int(added[0]) if added else 0
            self._execute(statements.NOTE_VOIDED_MONTHS)
            self._insert_loads([load], last)

    # What later stages ask

    def running_starts(self) -> list[datetime]:
        """The days on which sessions that were last seen running began, as far as there is sense in asking for them."""
        horizon = utc_now() + timedelta(days=1)
        days = [row[0] for row in self._execute(statements.RUNNING).fetchall()]
        return [day for day in days if _EARLIEST_SESSION <= day <= horizon]

    def unsettled_windows(self) -> list[tuple[datetime, datetime]]:
        """Windows of this run that told of a session what another one did not; asked for once, they are forgotten."""
        windows = [(start, end) for start, end in self._execute(statements.UNSETTLED).fetchall()]
        if windows:
            self._execute("delete from unsettled")
        return windows

    def lists_beyond_windows(self) -> bool:
        """Whether this run listed an ended session that outlasts its window: so the API does not select by end."""
        row = self._execute("select count(*) > 0 from crossing").fetchone()
        return bool(row and row[0])

    def users(self) -> list[str]:
        """Every user ever landed, by any resource."""
        return [row[0] for row in self._execute(statements.USERS).fetchall()]

    def asked(self, since: datetime, until: datetime) -> set[str]:
        """The users whose quota was asked for between these moments by a run that has not finished."""
        return {row[0] for row in self._execute(statements.ASKED, [since, until]).fetchall()}

    def forget_asked(self) -> None:
        """Have the next run ask for everybody's quota, and for no month that this one asked for: it is finished."""
        with self._transaction():
            self._execute("delete from raw.quota_progress")
            self._execute("delete from raw.figures_due")

    # What `publish` and `parquet` do

    def query(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """The rows of a statement. Raises `WarehouseError`."""
        return self._execute(sql, list(values)).fetchall()

    def write_parquet(self, sql: str, values: Sequence[Any], file: Path) -> None:
        """Write a statement's rows into a file as Parquet, in their order. Raises `WarehouseError`."""
        name = str(file).replace("'", "''")
        try:
            self._connection.execute(f"copy ({sql}) to '{name}' ({_PARQUET})", list(values))
        except duckdb.Error as error:
            raise _failure(error, file) from error

    def record_changes(self, event: str, changes: Sequence[QuotaChange]) -> None:
        """Write down for good what is about to be changed at the vendor (`intent`), or what came of it (`outcome`)."""
        if changes:
            ids, *others = _columns([dataclasses.astuple(change) for change in changes])
            self._execute(statements.INSERT_QUOTA_CHANGES, [ids, event, utc_now(), *others, __version__])

    def months_due(self) -> list[datetime]:
        """The months whose figures at the vendor are to be read again (rule 34).

        Those in which a session has a part, or had, that was listed, voided, or given another owner by this run, or by
        one before it that did not finish. Of a session whose times are rejected (rule 37), at most the month in which
        it starts.
        """
        months: set[datetime] = set()
        horizon = utc_now() + timedelta(days=1)
        for first, last in self._execute(statements.MONTHS_DUE).fetchall():
            if first < _EARLIEST_SESSION or first > horizon:
                continue
            month = first
            while month <= (last if last <= horizon else first):
                months.add(month)
                month = next_month(month)
        return sorted(months)

    # The connection

    def _execute(self, sql: str, values: Any = None) -> duckdb.DuckDBPyConnection:
        """Run a statement. Raises `WarehouseError` where DuckDB fails."""
        try:
            return self._connection.execute(sql, values) if values is not None else self._connection.execute(sql)
        except duckdb.Error as error:
            raise _failure(error, self._path) from error

    def _execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each of at least one row of values. Raises `WarehouseError` where DuckDB fails."""
        try:
            self._connection.executemany(sql, rows)
        except duckdb.Error as error:
            raise _failure(error, self._path) from error

    def _with_memory(self, work: Callable[[], Result]) -> Result:
        """Do what can be done again, with more memory each time that it runs out. Raises `WarehouseError`."""
        more = iter(_MORE_MEMORY)

        def take_more(state: tenacity.RetryCallState) -> None:
            logger.info("try %d: %s", state.attempt_number, state.outcome and state.outcome.exception())
            self._execute(next(more))

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(1 + len(_MORE_MEMORY)),
            retry=tenacity.retry_if_exception_type(ShortOfMemoryError),
            before_sleep=take_more,
            reraise=True,
        )
        return retrying(work)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of the block, or nothing of it."""
        self._execute("begin")
        try:
            yield
            self._execute("commit")
        except BaseException as error:
            with contextlib.suppress(duckdb.Error):
                self._connection.execute("rollback")
            if isinstance(error, duckdb.Error):
                raise _failure(error, self._path) from error
            raise


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows, at least one, as columns: many rows in a statement's parameters cost little more than one."""
    return [list(column) for column in zip(*rows, strict=True)]


def _same_contents(current: list[str], brought: list[str]) -> bool:
    """Whether a load brings the contents that the current version's load brought, the same one last."""
    if not canonical.is_same(current[-1], brought[-1]):
        return False
    return all(any(canonical.is_same(a, b) for b in brought) for a in current) and all(
        any(canonical.is_same(a, b) for a in current) for b in brought
    )


def _check_file(path: Path) -> None:
    """Refuse what must not be written to: not a DuckDB file, or a folder that takes no new file."""
    folder = path.parent
    try:
        if not folder.is_dir():
            raise WarehouseError(f"{folder} is no folder: create it, or set WAREHOUSE_PATH to another place")
        with tempfile.TemporaryFile(dir=folder):
            pass
        if path.exists():
            _check_head(path, "r+b")
    except OSError as error:
        raise WarehouseError(
            f"cannot write at {path} ({error.strerror}): set WAREHOUSE_PATH to another place"
        ) from error


def _check_head(path: Path, mode: Literal["rb", "r+b"] = "rb") -> None:
    """Refuse what is no DuckDB file. Raises `OSError` where it cannot be opened."""
    if not path.is_file():
        raise WarehouseError(f"{path} is no file: set WAREHOUSE_PATH to the warehouse's file")
    with path.open(mode) as file:
        head = file.read(12)
    if head[8:] != b"DUCK":
        kind = "is empty" if not head else "is not a DuckDB database"
        raise WarehouseError(f"{path} {kind}: refused, nothing was changed; move it away or restore it from a backup")


def _connect(path: Path, lock_seconds: float) -> duckdb.DuckDBPyConnection:
    """Open the file for writing, making it where it is not there."""
    create(path, lock_seconds)
    connection = _open(path, lock_seconds, settings=NEVER_CHECKPOINT)
    try:
        connection.execute("pragma disable_checkpoint_on_shutdown")
    except duckdb.Error as error:
        raise _failure(error, path) from error
    return connection


def _open(
    path: Path, lock_seconds: float, *, read_only: bool = False, settings: Mapping[str, str] | None = None
) -> duckdb.DuckDBPyConnection:
    """Open the file, waiting a bounded time for another process that holds it."""
    config: dict[str, Any] = {
        **(settings or {}),
        "memory_limit": _MEMORY,
        "threads": str(min(_MOST_THREADS, os.cpu_count() or 1)),
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }

    def connect() -> duckdb.DuckDBPyConnection:
        return open_when_free(
            lambda: duckdb.connect(str(path), read_only=read_only, config=config), path, lock_seconds, logger.warning
        )

    try:
        try:
            connection = connect()
        except duckdb.OutOfMemoryException:
            # A build that was killed left deletions all over a large history: a log longer than a run may read.
            with Folding(path) as folding:
                folding.fold()
            connection = connect()
        connection.execute("set TimeZone = 'UTC'")
    except duckdb.Error as error:
        raise _failure(error, path) from error
    return connection


def hold_for_dbt(
    path: Path, settings: dict[str, Any], lock_seconds: float, tell: Callable[[str], object]
) -> duckdb.DuckDBPyConnection:
    """Hold the file, with dbt's own settings, until dbt has opened it in this process: then nobody can come in between.

    `tell` is given a line where another process has to be waited for. Raises `ConfigurationError`, `WarehouseError`.
    """
    check_place(path)
    _check_file(path)
    try:
        held = open_when_free(lambda: duckdb.connect(str(path), config=settings), path, lock_seconds, tell)
        held.execute("pragma disable_checkpoint_on_shutdown")
    except duckdb.Error as error:
        raise _failure(error, path) from error
    return held


def _failure(error: duckdb.Error, path: Path) -> WarehouseError:
    """A DuckDB error as one line that says what to do."""
    text = str(error)
    if is_held(error):
        return WarehouseError(f"{path} is held by {holder(error)}: close it there, then run again")
    if isinstance(error, duckdb.OutOfMemoryException) and "No space left" not in text:
        return ShortOfMemoryError(
            f"{path}: there is not the memory for rows as large as these: ask for fewer days at once with --window-days"
        )
    line = " ".join(text.split("\n")[0].split())[:200]
    if any(reason in text for reason in ("No space left", "File too large", "Disk quota exceeded")):
        return WarehouseError(f"the disk of {path} is full: free some space, then run again, it goes on from there")
    return WarehouseError(f"{path} could not be used: {line}")
