"""The one place that writes the raw layer: staging, proof of completeness, versions, voids, and the transaction.

Rows are staged in a temporary table as they come, and landed window by window once a window is proven complete.
Everything that can be is set-based; Python looks at single rows only where JSON texts differ in bytes (do they say the
same?), hold repeated keys, or list one id twice with different content.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import resources
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import tenacity

from extract import __version__, canonical
from extract.clock import utc_now
from extract.errors import WarehouseError
from extract.pages import SEPARATOR, Page
from extract.settings import next_month

logger = logging.getLogger("extract")

_MEMORY = "200MB"
_MOST_THREADS = 4
_BUFFERED_ROWS = 5_000
_BUFFERED_CHARACTERS = 4 << 20
_FETCHED = 1_000
BRAKE_FROM = 10
"""How many voids it takes at least for a run to stop and ask."""
# Where no session can be: keeps a nonsensical time from asking for a thousand months.
_FIRST_MONTH = datetime(2000, 1, 1)

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
    rows: int = 0
    characters: int = 0


class Warehouse:
    """The warehouse file, held open for writing. Close it, or use it as a context manager."""

    def __init__(self, path: Path, lock_seconds: float = 30.0) -> None:
        """Check the file and its folder, open it, and create what is missing. Raises `WarehouseError`."""
        self._path = path
        self._run_id = str(uuid.uuid4())
        _check_file(path)
        self._connection = _connect(path, lock_seconds)
        self._buffers: dict[int, _Buffer] = {}
        self._staged: dict[int, int] = {}
        try:
            for suffix in ("", ".wal"):
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    path.with_name(path.name + suffix).chmod(0o600)
            self._execute(resources.files("extract").joinpath("schema.sql").read_text("utf-8"))
            self._execute("set TimeZone = 'UTC'")
            self._execute(_STAGING)
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
        if buffer.rows >= _BUFFERED_ROWS or buffer.characters >= _BUFFERED_CHARACTERS:
            self._flush(load.number)

    def stage_answer(
        self, load: Load, place: int, key: str, status: int | None, payload: str | None, normalized: str | None
    ) -> None:
        """Keep an answer that is one row as a whole, under the key it was asked for by."""
        self._execute(
            "insert into staged values (?, ?, ?, ?, ?, ?)", [load.number, place, key, status, payload, normalized]
        )
        self._staged[load.number] = self._staged.get(load.number, 0) + 1

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
        text = SEPARATOR.join(buffer.texts)
        values: list[Any] = [number, first, first + buffer.rows, text]
        if buffer.has_normalized:
            added = self._execute(_STAGE_NORMALIZED, [*values, buffer.normalized]).fetchone()
        else:
            added = self._execute(_STAGE, values).fetchone()
        if added != (buffer.rows,):
            raise WarehouseError(f"staging took {added} rows of {buffer.rows}: please report this")
        self._staged[number] = first + buffer.rows

    # Landing

    def examine(self, loads: Sequence[Load]) -> None:
        """Parse what is staged of these loads, which makes their counts known. `land` or `drop` comes next."""
        for load in loads:
            self._flush(load.number)
            load.rows = load.distinct_ids = load.unidentified = load.conflicts = 0
        if not any(self._staged.get(load.number) for load in loads):
            return
        self._execute("delete from examined")
        self._execute_many(
            "insert into examined values (?, ?, ?, null)",
            [[load.number, load.started_at, load.window_end] for load in loads],
        )
        self._normalize()
        self._execute(_PARSE)
        self._key_unidentified()
        counts = {row[0]: row[1:] for row in self._execute(_COUNT).fetchall()}
        for load in loads:
            if load.number in counts:
                load.rows, load.distinct_ids, load.unidentified, load.conflicts = counts[load.number]

    def land(self, loads: Sequence[Load]) -> None:
        """Land loads of one resource that were examined and found complete, in this order, in one transaction."""
        if not loads:
            return
        resource, has_rows = loads[0].resource, any(load.rows for load in loads)
        with self._transaction():
            last = self._execute("select coalesce(max(load_id), 0) from raw.loads").fetchone()
            load_ids = {load.number: (last[0] if last else 0) + i for i, load in enumerate(loads, 1)}
            added = self._land_rows(resource, load_ids) if has_rows else {}
            for load in loads:
                load.rows_added = added.get(load.number, 0)
                self._insert_load(load_ids[load.number], load, load.resource)
        if has_rows:
            self._report_drift(resource, min(load_ids.values()))
            for load in loads:
                self._staged.pop(load.number, None)
            self._execute(_KEEP_REST if self._staged else "truncate staged")

    def _land_rows(self, resource: str, load_ids: dict[int, int]) -> dict[int, int]:
        """Land the rows of loads whose ids are given, and tell how many each added."""
        self._execute("update examined set load_id = null")
        self._execute_many(
            "update examined set load_id = $2 where load_number = $1", [[*pair] for pair in load_ids.items()]
        )
        self._execute(_HISTORY[resource])
        self._execute(_FIRSTS)
        self._execute(_FOUND)
        self._decide_spelling()
        self._decide_contested()
        self._execute(_INSERT[resource])
        added = {row[0]: row[1] for row in self._execute(_ADDED).fetchall()}
        if resource == "usage_sessions":
            self._execute(_REMEMBER_LISTED)
            self._execute(_REMEMBER_MONTHS)
            self._execute(_REMEMBER_CROSSING)
        return added

    def _insert_load(self, load_id: int, load: Load, resource: str) -> None:
        """Write a load's row."""
        self._execute(
            "insert into raw.loads values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                load_id,
                self._run_id,
                resource,
                load.window_start,
                load.window_end,
                load.started_at,
                load.ended_at,
                load.pages,
                load.rows,
                load.distinct_ids,
                load.total,
                load.rows_added,
                __version__,
            ],
        )

    def _normalize(self) -> None:
        """Give rows that DuckDB would read differently (repeated keys) or not at all a normalized text."""
        if not self._execute(_SHAPES).fetchone():
            return
        while rows := self._execute(_MISSHAPEN).fetchmany(_FETCHED):
            self._execute_many(
                "update staged set normalized = ? where load_number = ? and place = ?",
                [[canonical.normalize(payload), number, place] for number, place, payload in rows],
            )

    def _key_unidentified(self) -> None:
        """Key rows without a usable id by what they say, and by how often the load has said it."""
        rows = self._execute(_UNIDENTIFIED)
        seen: dict[tuple[int, str], int] = {}
        keys: list[list[Any]] = []
        while chunk := rows.fetchmany(_FETCHED):
            for number, place, payload in chunk:
                digest = canonical.digest(payload)
                seen[number, digest] = occurrence = seen.get((number, digest), 0) + 1
                keys.append([number, place, f"{digest}#{occurrence}"])
        if keys:
            columns = [list(column) for column in zip(*keys, strict=True)]
            self._execute(_SET_KEYS, columns)

    def _decide_spelling(self) -> None:
        """Of rows whose bytes differ from their current version's, find those that say the same all the same."""
        rows = self._execute(_DIFFERENT)
        same: list[int] = []
        while chunk := rows.fetchmany(_FETCHED):
            same += [sequence for sequence, new, old in chunk if canonical.is_same(new, old)]
        self._execute("insert into unchanged select unnest(?::hugeint[])", [same])

    def _decide_contested(self) -> None:
        """Decide keys that the loads at hand list with more than one content, version by version."""
        rows = self._execute(_CONTESTED).fetchall()
        if not rows:
            return
        unchanged: list[int] = []
        for _, versions in groupby(rows, key=lambda row: (row[0], row[1])):
            unchanged += self._unchanged_of(list(versions))
        self._execute("insert into unchanged select unnest(?::hugeint[])", [unchanged])

    def _unchanged_of(self, rows: list[tuple[Any, ...]]) -> list[int]:
        """Of one contested key's listed rows, in order, those that add nothing."""
        row_key, has_id, row_hash = rows[0][:3]
        history = self._execute(_VERSIONS, [row_hash, row_key, has_id]).fetchall()
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
        unknown = [name for (name,) in self._execute(_UNKNOWN_FIELDS, [known]).fetchall()]
        for name in unknown:
            if not self._execute(_SEEN_BEFORE, [first_load, name, name]).fetchone():
                logger.warning("the API's sessions have a field not known before, kept as it is: %s", repr(name)[:80])

    # Voids

    def find_unlisted(
        self, windows: Sequence[tuple[datetime, datetime]], running_until: datetime | None
    ) -> tuple[int, int]:
        """Find sessions that lie wholly in these windows and that no load of this run listed.

        A running session has to be covered up to `running_until`, or (None) as far as it was known. Returns how many
        there are, and how many sessions the windows cover, where that is looked at. `land_voids` voids them.
        """
        self._execute("delete from covered_windows")
        self._execute_many("insert into covered_windows values (?, ?)", [[*window] for window in windows])
        self._execute(_HISTORY["usage_sessions"])
        self._execute(_UNLISTED, {"running_until": running_until})
        found = self._execute("select count(*) from unlisted").fetchone()
        unlisted = int(found[0]) if found else 0
        covered = 0
        if unlisted >= BRAKE_FROM:
            counted = self._execute(_COVERED, {"running_until": running_until}).fetchone()
            covered = int(counted[0]) if counted else 0
        return unlisted, covered

    def land_voids(self, load: Load) -> None:
        """Void what `find_unlisted` found, in a load of its own."""
        with self._transaction():
            last = self._execute("select coalesce(max(load_id), 0) + 1 from raw.loads").fetchone()
            load_id = last[0] if last else 1
            added = self._execute(_INSERT_VOIDS, [load_id]).fetchone()
            load.rows_added = int(added[0]) if added else 0
            self._execute(_REMEMBER_VOIDED_MONTHS)
            self._insert_load(load_id, load, "session_voids")

    # What later stages ask

    def running_starts(self) -> list[datetime]:
        """The days on which sessions that were last seen running began."""
        return [row[0] for row in self._execute(_RUNNING).fetchall()]

    def lists_beyond_windows(self) -> bool:
        """Whether this run listed an ended session that outlasts its window: so the API does not select by end."""
        row = self._execute("select count(*) > 0 from crossing").fetchone()
        return bool(row and row[0])

    def users(self) -> list[str]:
        """Every user ever landed, by any resource."""
        return [row[0] for row in self._execute(_USERS).fetchall()]

    def months_listed(self) -> list[datetime]:
        """The months in which a session that this run listed or voided has a part."""
        months: set[datetime] = set()
        horizon = utc_now() + timedelta(days=1)
        for first, last in self._execute("select distinct first, last from months").fetchall():
            month = max(first, _FIRST_MONTH)
            while month <= min(last, horizon):
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
    if not folder.is_dir():
        raise WarehouseError(f"{folder} is no folder: create it, or set WAREHOUSE_PATH to another place")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        if not path.exists():
            return
        if not path.is_file():
            raise WarehouseError(f"{path} is no file: set WAREHOUSE_PATH to the warehouse's file")
        with path.open("r+b") as file:
            head = file.read(12)
    except OSError as error:
        raise WarehouseError(
            f"cannot write at {path} ({error.strerror}): set WAREHOUSE_PATH to another place"
        ) from error
    if head[8:] != b"DUCK":
        kind = "is empty" if not head else "is not a DuckDB database"
        raise WarehouseError(f"{path} {kind}: refused, nothing was changed; move it away or restore it from a backup")


def _connect(path: Path, lock_seconds: float) -> duckdb.DuckDBPyConnection:
    """Open the file, waiting a bounded time for another process that holds it."""
    config = {
        "memory_limit": _MEMORY,
        "threads": str(min(_MOST_THREADS, os.cpu_count() or 1)),
        "preserve_insertion_order": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_delay(lock_seconds),
        wait=tenacity.wait_fixed(0.25),
        retry=tenacity.retry_if_exception(lambda error: "Could not set lock" in str(error)),
        reraise=True,
    )
    try:
        connection: duckdb.DuckDBPyConnection = retrying(duckdb.connect, str(path), config=config)
    except duckdb.Error as error:
        raise _failure(error, path) from error
    return connection


def _failure(error: duckdb.Error, path: Path) -> WarehouseError:
    """A DuckDB error as one line that says what to do."""
    text = str(error)
    if "Could not set lock" in text:
        holder = re.search(r"held in (.*?) \(PID (\d+)\)", text)
        who = f"process {holder[2]} ({holder[1]})" if holder else "another process"
        return WarehouseError(f"{path} is held by {who}: close it there, then run again")
    line = " ".join(text.split("\n")[0].split())[:200]
    if "No space left" in text:
        return WarehouseError(f"the disk of {path} is full: free some space, then run again, it goes on from there")
    return WarehouseError(f"{path} could not be used: {line}")


# SQL. Table names are constants of this module; every value is a bound parameter.

_STAGING = """
create or replace temp table staged (
    load_number integer, place bigint, given_key varchar, http_status integer, payload varchar, normalized varchar
);
create or replace temp table examined (
    load_number integer, started_at timestamp, window_end timestamp, load_id bigint
);
create or replace temp table listed (row_hash bigint, row_key varchar, has_id boolean);
create or replace temp table months (first timestamp, last timestamp);
create or replace temp table crossing (load_id bigint);
create or replace temp table covered_windows (starts timestamp, ends timestamp);
"""

_STAGE = """
insert into staged
select $1, unnest(range($2::bigint, $3::bigint)), null, null, unnest(string_split($4, chr(30))), null
"""

_STAGE_NORMALIZED = """
insert into staged
select $1, unnest(range($2::bigint, $3::bigint)), null, null, unnest(string_split($4, chr(30))), unnest($5::varchar[])
"""

# Rows of one shape have the same keys in the same order; only a shape with a key twice needs a look at its rows.
_SHAPES = """
create or replace temp table shapes as
select keys
from (
    select distinct try(json_keys(staged.payload)) as keys
    from staged
    inner join examined using (load_number)
    where staged.normalized is null and staged.payload is not null and staged.http_status is distinct from 404
)
where keys is null or list_unique(keys) <> len(keys);
select 1 from shapes limit 1
"""

_MISSHAPEN = """
select staged.load_number, staged.place, staged.payload
from staged
inner join examined using (load_number)
where
    staged.normalized is null and staged.payload is not null and staged.http_status is distinct from 404
    and exists (select 1 from shapes where shapes.keys is not distinct from try(json_keys(staged.payload)))
"""

# One parse a row. The DECIMAL field that no row has keeps number texts as they are (without one DuckDB sends them
# through a double); a JSON field's first character tells its type.
_PARSE = """
create or replace temp table parsed as
with documents as (
    select
        staged.load_number,
        staged.place,
        staged.given_key,
        examined.started_at as asked_at,
        coalesce(staged.normalized, staged.payload) as document
    from staged
    inner join examined using (load_number)
),
fields as (
    select
        load_number,
        place,
        given_key,
        asked_at,
        ltrim(document, e' \\t\\r\\n')[1] = '{' as is_object,
        case when given_key is null then try(from_json(
            document,
            '{"id":"JSON","started_at":"VARCHAR","ended_at":"VARCHAR","duration_sec":"VARCHAR","external_user_id":"JSON",'
            || '"_":"DECIMAL(1,0)"}'
        )) end as said
    from documents
),
texts as (
    select
        load_number,
        place,
        asked_at,
        given_key,
        coalesce(is_object, false) and said is not null and said.ended_at is null as is_running,
        case when starts_with(said.id, '"') and said.id <> '""' then said.id ->> '$' end as id,
        -- Spelt as the warehouse reads them too: lower-case letters and a decimal comma are fine (rule 8).
        case when regexp_matches(said.started_at, '^[0-9]{4}-')
            then try_cast(replace(upper(said.started_at), ',', '.') as timestamptz) end as started,
        case when regexp_matches(said.ended_at, '^[0-9]{4}-')
            then try_cast(replace(upper(said.ended_at), ',', '.') as timestamptz) end as ended,
        -- Any spelling of a whole number: 60, "60", 60.0, 6e1.
        case when try_cast(said.duration_sec as decimal(38, 9)) between 0 and 99999999999
            then try_cast(try_cast(said.duration_sec as decimal(38, 9)) as bigint) end as seconds,
        case when starts_with(said.external_user_id, '"') then said.external_user_id ->> '$' end as external_user_id
    from fields
),
times as (
    select
        * exclude (started, ended),
        case when year(started) between 1 and 9000 then started::timestamp end as started,
        case when year(ended) between 1 and 9000 then ended::timestamp end as ended
    from texts
)
select
    load_number,
    place,
    coalesce(given_key, id) as row_key,
    coalesce(given_key, id) is not null as has_id,
    (md5_number_lower('id:' || coalesce(given_key, id))::hugeint - 9223372036854775808)::bigint as row_hash,
    is_running,
    started,
    case
        when not is_running then greatest(started, ended)
        when seconds is not null then started + to_seconds(seconds)
        else greatest(started, asked_at)
    end as ended,
    external_user_id
from times
"""

_UNIDENTIFIED = """
select parsed.load_number, parsed.place, staged.payload
from parsed
inner join staged using (load_number, place)
where not parsed.has_id
order by parsed.load_number, parsed.place
"""

_SET_KEYS = """
update parsed
set
    row_key = keyed.row_key,
    row_hash = (md5_number_lower('row:' || keyed.row_key)::hugeint - 9223372036854775808)::bigint
from (
    select unnest($1::integer[]) as load_number, unnest($2::bigint[]) as place, unnest($3::varchar[]) as row_key
) as keyed
where parsed.load_number = keyed.load_number and parsed.place = keyed.place
"""

_COUNT = """
with keys as (
    select load_number, row_hash, row_key, has_id, count(*) as times
    from parsed
    group by all
),
repeated as (
    select keys.load_number, count(distinct staged.payload) as contents
    from keys
    inner join parsed using (load_number, row_hash, row_key, has_id)
    inner join staged using (load_number, place)
    where keys.times > 1
    group by keys.load_number, keys.row_hash, keys.row_key
),
conflicts as (
    select load_number, count(*) as conflicts from repeated where contents > 1 group by load_number
)
select
    load_number,
    sum(times)::bigint,
    count(*) filter (where has_id),
    count(*) filter (where not has_id),
    any_value(coalesce(conflicts.conflicts, 0))
from keys
left join conflicts using (load_number)
group by load_number
"""

# What the resource's table holds, in one form for all resources. DuckDB reads only the columns that are asked for.
_HISTORY = {
    "usage_sessions": """
        create or replace temp view history as
        select
            rowid as row_id, load_id, row_number, row_key, has_id, row_hash, is_void, is_running,
            null::integer as http_status, started_at_utc, ended_at_utc, payload
        from raw.usage_sessions
    """,
    **{
        resource: f"""
            create or replace temp view history as
            select
                rowid as row_id, load_id, row_number, row_key, has_id, row_hash, false as is_void, false as is_running,
                {status} as http_status, null::timestamp as started_at_utc, null::timestamp as ended_at_utc, payload
            from raw.{resource}
        """  # noqa: S608 - both are the constants below
        for resource, status in {
            "sandboxes": "null::integer",
            "quotas": "http_status",
            "usage_rollups": "null::integer",
            "usage_summaries": "null::integer",
        }.items()
    },
}

# Each key's first listed row, in the order in which loads are landed, and whether its later ones differ from it.
_FIRSTS = """
create or replace temp table sequenced as
select
    parsed.*,
    examined.load_id,
    examined.load_id::hugeint * 1099511627776 + parsed.place as sequence
from parsed
inner join examined using (load_number)
where examined.load_id is not null;

create or replace temp table firsts as
with keys as (
    select
        row_hash, row_key, has_id, min(sequence) as sequence, arg_min(load_number, sequence) as load_number,
        arg_min(place, sequence) as place, count(*) as times
    from sequenced
    group by all
),
contents as (
    select keys.sequence, count(distinct staged.payload) as contents
    from keys
    inner join sequenced using (row_hash, row_key, has_id)
    inner join staged on sequenced.load_number = staged.load_number and sequenced.place = staged.place
    where keys.times > 1
    group by keys.sequence
)
select keys.*, coalesce(contents.contents, 1) > 1 as is_contested
from keys
left join contents using (sequence);

create or replace temp table unchanged (sequence hugeint)
"""

# The current version of every key at hand. The hash finds candidates by one narrow column; the key itself decides.
_FOUND = """
create or replace temp table candidates as
select history.row_id
from history
where history.row_hash in (select firsts.row_hash from firsts);

create or replace temp table found as
select
    firsts.sequence, firsts.load_number, firsts.place, firsts.is_contested,
    history.load_id, history.row_number, history.is_void, history.http_status,
    history.started_at_utc, history.ended_at_utc, history.payload
from history
inner join firsts using (row_hash, row_key, has_id)
where history.row_id in (select candidates.row_id from candidates)
qualify row_number() over (partition by firsts.sequence order by history.load_id desc, history.row_number desc) = 1;

create or replace temp table compared as
select
    found.sequence,
    found.load_number,
    found.place,
    found.http_status is not distinct from staged.http_status
    and (found.http_status is not distinct from 404 or found.payload = staged.payload) as is_same,
    found.http_status is not distinct from staged.http_status as is_comparable,
    case when not is_same and is_comparable then found.payload end as current_payload
from found
inner join staged using (load_number, place)
where not found.is_void and not found.is_contested;

insert into unchanged
select sequence
from compared
where is_same
"""

_DIFFERENT = """
select compared.sequence, staged.payload, compared.current_payload
from compared
inner join staged using (load_number, place)
where compared.current_payload is not null and staged.payload is not null
"""

_CONTESTED = """
select
    sequenced.row_key, sequenced.has_id, sequenced.row_hash, sequenced.load_number, sequenced.sequence, staged.payload
from sequenced
inner join firsts using (row_hash, row_key, has_id)
inner join staged on sequenced.load_number = staged.load_number and sequenced.place = staged.place
where firsts.is_contested
order by sequenced.row_hash, sequenced.row_key, sequenced.has_id, sequenced.sequence
"""

_VERSIONS = """
select load_id, payload, is_void
from history
where row_hash = ? and row_key = ? and has_id = ?
order by load_id, row_number
"""

_CHOSEN = """
create or replace temp table chosen as
select sequenced.*
from sequenced
inner join firsts using (row_hash, row_key, has_id)
where
    (firsts.is_contested or firsts.sequence = sequenced.sequence)
    and sequenced.sequence not in (select unchanged.sequence from unchanged);
"""

_INSERT = {
    "usage_sessions": _CHOSEN
    + """
        insert into raw.usage_sessions
        select
            chosen.load_id, chosen.place + 1, chosen.row_key, chosen.has_id, chosen.row_hash, false, chosen.is_running,
            chosen.started, chosen.ended, chosen.external_user_id, staged.payload, staged.normalized
        from chosen
        inner join staged using (load_number, place)
        order by chosen.sequence
    """,
    "sandboxes": _CHOSEN
    + """
        insert into raw.sandboxes
        select
            chosen.load_id, chosen.place + 1, chosen.row_key, chosen.has_id, chosen.row_hash,
            chosen.external_user_id, staged.payload, staged.normalized
        from chosen
        inner join staged using (load_number, place)
        order by chosen.sequence
    """,
    "quotas": _CHOSEN
    + """
        insert into raw.quotas
        select
            chosen.load_id, chosen.place + 1, chosen.row_key, chosen.has_id, chosen.row_hash,
            staged.http_status, staged.payload, staged.normalized
        from chosen
        inner join staged using (load_number, place)
        order by chosen.sequence
    """,
    **{
        resource: _CHOSEN
        + f"""
            insert into raw.{resource}
            select
                chosen.load_id, chosen.place + 1, chosen.row_key, chosen.has_id, chosen.row_hash,
                staged.payload, staged.normalized
            from chosen
            inner join staged using (load_number, place)
            order by chosen.sequence
        """  # noqa: S608 - the constants below
        for resource in ("usage_rollups", "usage_summaries")
    },
}

_ADDED = "select load_number, count(*) from chosen group by load_number"

_REMEMBER_LISTED = """
insert into listed
select firsts.row_hash, firsts.row_key, firsts.has_id
from firsts
"""

# A session that ends exactly on a cut has no part after it (rule 13).
_REMEMBER_MONTHS = """
insert into months
select distinct
    date_trunc('month', started),
    date_trunc('month', case when ended > started then ended - interval 1 microsecond else started end)
from sequenced
where started is not null and ended is not null
union
select distinct
    date_trunc('month', found.started_at_utc),
    date_trunc(
        'month',
        case
            when found.ended_at_utc > found.started_at_utc then found.ended_at_utc - interval 1 microsecond
            else found.started_at_utc
        end
    )
from found
inner join chosen using (sequence)
where found.started_at_utc is not null and found.ended_at_utc is not null
"""

# Nothing but an API that selects by start or by overlap lists an ended session that outlasts the window asked for.
_REMEMBER_CROSSING = """
insert into crossing
select any_value(sequenced.load_id)
from sequenced
inner join examined using (load_number)
where
    not sequenced.is_running
    and sequenced.started < examined.window_end
    and sequenced.ended > examined.window_end + interval 1 second
having count(*) > 0
"""

_KEEP_REST = """
create or replace temp table staged as
from staged
where load_number not in (select load_number from examined)
"""

_UNKNOWN_FIELDS = """
select distinct name
from (
    select unnest(keys) as name
    from (
        select distinct try(json_keys(coalesce(staged.normalized, staged.payload))) as keys
        from chosen
        inner join staged using (load_number, place)
    )
)
where not list_contains($1::varchar[], name)
order by name
limit 20
"""

_SEEN_BEFORE = """
select 1
from raw.usage_sessions
where
    load_id < $1 and contains(payload, $2)
    and list_contains(try(json_keys(coalesce(payload_normalized, payload))), $3)
limit 1
"""

_RUNNING = """
with current as (
    select is_running, is_void, started_at_utc
    from raw.usage_sessions
    where row_hash in (select row_hash from raw.usage_sessions where is_running)
    qualify row_number() over (partition by row_hash, row_key, has_id order by load_id desc, row_number desc) = 1
)
select distinct date_trunc('day', started_at_utc)::timestamp as day
from current
where is_running and not is_void and started_at_utc is not null
order by day
"""

# An end exactly on a window's end is not covered: whether the API then lists the session depends on how it selects.
_UNLISTED = """
create or replace temp table unlisted as
with suspects as (
    select distinct history.row_hash, history.row_key, history.has_id
    from history
    semi join covered_windows
        on history.started_at_utc >= covered_windows.starts and history.started_at_utc < covered_windows.ends
    anti join listed
        on history.row_hash = listed.row_hash and history.row_key = listed.row_key and history.has_id = listed.has_id
    where not history.is_void
),
current as (
    select
        history.row_hash, history.row_key, history.has_id, history.is_void, history.started_at_utc,
        history.ended_at_utc,
        case when history.is_running then greatest(history.ended_at_utc, $running_until) else history.ended_at_utc end
            as covered_until
    from history
    inner join suspects using (row_hash, row_key, has_id)
    qualify row_number() over (
        partition by history.row_hash, history.row_key, history.has_id
        order by history.load_id desc, history.row_number desc
    ) = 1
)
select current.row_hash, current.row_key, current.has_id, current.started_at_utc, current.ended_at_utc
from current
semi join covered_windows
    on current.started_at_utc >= covered_windows.starts and current.covered_until < covered_windows.ends
where not current.is_void
"""

_COVERED = """
with current as (
    select
        arg_max(
            {
                'is_void': is_void,
                'starts': started_at_utc,
                'ends': case when is_running then greatest(ended_at_utc, $running_until) else ended_at_utc end
            },
            load_id::hugeint * 1099511627776 + row_number
        ) as version
    from history
    where row_hash in (
        select inside.row_hash
        from history as inside
        semi join covered_windows
            on inside.started_at_utc >= covered_windows.starts and inside.started_at_utc < covered_windows.ends
    )
    group by row_hash, row_key, has_id
)
select count(*)
from current
semi join covered_windows
    on current.version.starts >= covered_windows.starts and current.version.ends < covered_windows.ends
where not current.version.is_void
"""

_INSERT_VOIDS = """
insert into raw.usage_sessions
select
    $1, row_number() over (order by row_hash, row_key, has_id), row_key, has_id, row_hash, true, false,
    started_at_utc, ended_at_utc, null, null, null
from unlisted
"""

_REMEMBER_VOIDED_MONTHS = """
insert into months
select distinct
    date_trunc('month', started_at_utc),
    date_trunc(
        'month',
        case when ended_at_utc > started_at_utc then ended_at_utc - interval 1 microsecond else started_at_utc end
    )
from unlisted
"""

_USERS = """
select distinct external_user_id
from (
    select external_user_id from raw.usage_sessions
    union all
    select external_user_id from raw.sandboxes
    union all
    select row_key from raw.quotas
)
where external_user_id is not null and external_user_id not in ('', '(unattributed)')
order by external_user_id
"""
