"""What the simulated vendor holds for one tenant, and how time passes for it.

Sessions and sandboxes are raw JSON texts with the facts read from them (`simulator.rows`), newest first, as the vendor
lists them; quotas are limits by user; `now` is the tenant's own clock. A test holds the same `Tenant` that its server
serves and changes it while the server runs: every method takes the lock, and readers get snapshots.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar

import msgspec

from simulator.rows import (
    NANO,
    Sandbox,
    Session,
    edit_text,
    number_text,
    read_sandbox,
    read_session,
    to_iso,
    to_microseconds,
    to_text,
)

Row = Mapping[str, Any] | str
"""A raw row: a mapping (its numbers `int` or `Decimal`), or the JSON text itself, which is served byte for byte."""

Limit = int | Decimal | None
"""A quota's limit; None is uncapped."""

OwnerChange = tuple[int, str]
"""From when on, in microseconds since 1970, and who."""

LIMITS = ("max_sandboxes", "max_concurrent", "max_storage_gb", "max_credit_cents")
"""The four limits of a quota, as the vendor names them."""

Window = Literal["start", "overlap", "end", "ignore"]
"""What a window selects sessions by: see `Tenant.select`."""

DEFAULT_NOW = datetime(2026, 11, 3, 9, tzinfo=UTC)
"""The clock of a tenant that is given none."""

# A row whose start cannot be read sorts before every other: no window may hide it.
_UNREADABLE = -(1 << 62)
_KEPT_RESULTS = 32

T = TypeVar("T")


class Tenant:
    """One tenant's sessions, sandboxes, quotas and clock. Safe to use from several threads."""

    def __init__(
        self,
        sessions: Iterable[Session] = (),
        sandboxes: Iterable[Sandbox] = (),
        quotas: Mapping[str, Mapping[str, Limit]] | None = None,
        now: datetime = DEFAULT_NOW,
        storage_gb: Mapping[str, Decimal | int] | None = None,
    ) -> None:
        """Hold what is given. `Tenant.from_rows` takes raw rows instead of read ones.

        `storage_gb` is what each user keeps stored, at most 9 decimals; it is the source of the rollup's
        `storage_gb_hours`. Raises `ValueError` for a `now` without a zone, an unknown limit, or a negative one.
        """
        self._lock = threading.RLock()
        self._now = to_microseconds(now)
        self._rows = sorted(sessions, key=_order)
        self._keys = array("q", map(_order, self._rows))
        self._by_id: dict[str, Session] | None = None
        self._repeated: set[str] = set()
        self._sandboxes = sorted(sandboxes, key=_sandbox_order)
        self._owners: dict[str, list[OwnerChange]] = {}
        for sandbox in self._sandboxes:
            if sandbox.id is not None and sandbox.owner is not None:
                self._owners.setdefault(sandbox.id, [(_UNREADABLE, sandbox.owner)])
        self._quotas = {user: _limits(limits) for user, limits in (quotas or {}).items()}
        self._storage = {user: int(Decimal(size) * NANO) for user, size in (storage_gb or {}).items()}
        self._results: dict[object, Any] = {}

    @classmethod
    def from_rows(
        cls,
        sessions: Iterable[Row] = (),
        sandboxes: Iterable[Row] = (),
        quotas: Mapping[str, Mapping[str, Limit]] | None = None,
        now: datetime = DEFAULT_NOW,
        storage_gb: Mapping[str, Decimal | int] | None = None,
    ) -> Tenant:
        """Make a tenant of raw rows, in any order; they are listed newest first, equals in the order given.

        Raises `TypeError` for a float in a mapping, and `ValueError` as the constructor does.
        """
        return cls(
            [read_session(to_text(row), _kind(row)) for row in sessions],
            [read_sandbox(to_text(row), _kind(row)) for row in sandboxes],
            quotas,
            now,
            storage_gb,
        )

    # What it holds

    @property
    def now(self) -> datetime:
        """The tenant's clock, in UTC."""
        return datetime.fromisoformat(to_iso(self.now_microseconds))

    @property
    def now_microseconds(self) -> int:
        """The tenant's clock, in microseconds since 1970."""
        with self._lock:
            return self._now

    @property
    def sessions(self) -> list[Session]:
        """All sessions, newest first: a snapshot."""
        with self._lock:
            return list(self._rows)

    @property
    def sandboxes(self) -> list[Sandbox]:
        """All sandboxes, newest first: a snapshot."""
        with self._lock:
            return list(self._sandboxes)

    @property
    def quotas(self) -> dict[str, dict[str, Limit]]:
        """The limits of every user that has a quota: a snapshot."""
        with self._lock:
            return {user: dict(limits) for user, limits in self._quotas.items()}

    @property
    def storage_nano_gb(self) -> dict[str, int]:
        """What each user keeps stored, in billionths of a GB: a snapshot."""
        with self._lock:
            return dict(self._storage)

    @property
    def owners(self) -> dict[str, tuple[OwnerChange, ...]]:
        """Who owned each sandbox from when on, in order of time: a snapshot. The first known owner always did."""
        with self._lock:
            return {sandbox: tuple(changes) for sandbox, changes in self._owners.items()}

    def session(self, session_id: str) -> Session:
        """The session of this id (the first listed, should the id stand twice). Raises `KeyError`."""
        with self._lock:
            return self._index()[session_id]

    def quota(self, user: str) -> dict[str, Limit] | None:
        """The user's limits; None without a quota."""
        with self._lock:
            limits = self._quotas.get(user)
            return None if limits is None else dict(limits)

    def select(self, window: Window, since: int | None, until: int | None) -> list[Session]:
        """The sessions of `[since, until)`, newest first; either bound may be None (open).

        `window` says what the bounds select by: `start`, `end` (running sessions always), `overlap` (running sessions
        last until now; one of no length counts as an instant), or `ignore`. A row whose start cannot be read is in
        every window, so that it can be found. An unreadable end, or one before the start, is taken as the start.
        """
        with self._lock:
            if window == "ignore" or (since is None and until is None):
                return list(self._rows)
            head = bisect_left(self._keys, _UNREADABLE + 1)
            low = head if until is None or window == "end" else max(head, bisect_left(self._keys, -until + 1))
            high = len(self._rows)
            if window == "start" and since is not None:
                high = bisect_left(self._keys, -since + 1)
            unreadable, chosen, now = self._rows[:head], self._rows[low : max(low, high)], self._now
        if window == "overlap" and since is not None:
            chosen = [row for row in chosen if _end(row, now) > since or (row.start or 0) >= since]
        elif window == "end":
            first = since if since is not None else _UNREADABLE
            last = until if until is not None else -_UNREADABLE
            chosen = [row for row in chosen if row.running or first <= _end(row, now) < last]
        return unreadable + chosen

    def running_by_user(self) -> Counter[str | None]:
        """How many sessions run now, by owner. A row that the rules reject does not count."""
        owners = self.owners
        return Counter(owner_of(row, owners) for row in self.sessions if row.running and row.nano is not None)

    def remember(self, key: object, compute: Callable[[], T]) -> T:
        """The result of `compute` under this key, kept until a session, a sandbox or the clock changes.

        It is what makes paging through a million sessions, and asking their rollup again, cheap. A change while it
        computes is not lost: the result then is of the moment before, and not kept.
        """
        with self._lock:
            results = self._results
            if key in results:
                found: T = results[key]
                return found
        computed = compute()
        with self._lock:
            if len(results) >= _KEPT_RESULTS:
                results.clear()
            results[key] = computed  # after a change `results` is no longer what `_results` is
        return computed

    # How time passes

    def advance(self, to: datetime) -> None:
        """Set the clock. Running sessions go on running; nothing ends by itself. `ValueError` for going back."""
        instant = to_microseconds(to)
        with self._lock:
            if instant < self._now:
                raise ValueError(f"time does not go back: it is {to_iso(self._now)}, not {to_iso(instant)}")
            self._now = instant
            self._results = {}

    def add_session(self, row: Row) -> None:
        """Hold one more session, such as one that is metered late."""
        self._insert(read_session(to_text(row), _kind(row)))

    def replace_session(self, session_id: str, row: Row) -> None:
        """Put another row in a session's place. Raises `KeyError` for an unknown id."""
        session = read_session(to_text(row), _kind(row))
        with self._lock:
            self.remove_session(session_id)
            self._insert(session)

    def end_session(
        self,
        session_id: str,
        ended_at: datetime | str,
        cost: Decimal | int | str,
        duration: int | None = None,
    ) -> None:
        """End a session: its final cost in credits, and its billed seconds (None: as long as the wall clock says).

        A str is put into the row as it stands: `ended_at` as a JSON string, `cost` as a JSON number. Raises
        `KeyError` for an unknown id, `ValueError` for a cost that is no number or a row that is no JSON object.
        """
        ended = to_iso(to_microseconds(ended_at)) if isinstance(ended_at, datetime) else ended_at
        changes = {
            "ended_at": msgspec.json.encode(ended),
            "duration_sec": None if duration is None else number_text(duration),
        }
        self._edit(session_id, changes, cost)

    def correct_cost(self, session_id: str, cost: Decimal | int | str) -> None:
        """Change a session's cost, in credits, under whichever names its row has it. Raises as `end_session`."""
        self._edit(session_id, {}, cost)

    def remove_session(self, session_id: str) -> None:
        """No longer list a session. Raises `KeyError` for an unknown id."""
        with self._lock:
            session = self.session(session_id)
            position = self._position(session)
            del self._rows[position], self._keys[position]
            self._results = {}
            if session_id in self._repeated:
                self._by_id = None  # the other row is now the one of this id
            else:
                del self._index()[session_id]

    def put_sandbox(self, row: Row) -> None:
        """Add a sandbox, or replace the one of its id. Another owner counts from now on; no owner changes nothing."""
        sandbox = read_sandbox(to_text(row), _kind(row))
        with self._lock:
            if sandbox.id is not None and sandbox.owner is not None:
                changes = self._owners.setdefault(sandbox.id, [(_UNREADABLE, sandbox.owner)])
                if changes[-1][1] != sandbox.owner:
                    changes.append((self._now, sandbox.owner))
            others = [held for held in self._sandboxes if held.id is None or held.id != sandbox.id]
            self._sandboxes = sorted([sandbox, *others], key=_sandbox_order)
            self._results = {}

    def put_owners(self, sandbox_id: str, changes: Iterable[OwnerChange]) -> None:
        """Say who owned a sandbox from when on, in order of time; the first owner always did before."""
        with self._lock:
            self._owners[sandbox_id] = list(changes)
            self._results = {}

    def put_quota(self, user: str, limits: Mapping[str, Limit]) -> None:
        """Create or replace a user's quota; a limit left out is uncapped. Raises `ValueError` for a bad limit."""
        checked = _limits(limits)
        with self._lock:
            self._quotas[user] = checked

    def delete_quota(self, user: str) -> None:
        """Remove a user's quota. Raises `KeyError` where there is none."""
        with self._lock:
            del self._quotas[user]

    def put_storage(self, user: str, gigabytes: Decimal | int) -> None:
        """Set what a user keeps stored, in GB; the rollup of every period shows it."""
        with self._lock:
            self._storage[user] = int(Decimal(gigabytes) * NANO)
            self._results = {}

    def _insert(self, session: Session) -> None:
        """Put a session before the others of the same start: it is the newest of them."""
        with self._lock:
            position = bisect_left(self._keys, _order(session))
            self._rows.insert(position, session)
            self._keys.insert(position, _order(session))
            if self._by_id is not None and session.id is not None:
                if session.id in self._by_id:
                    self._by_id = None
                else:
                    self._by_id[session.id] = session
            self._results = {}

    def _edit(self, session_id: str, changes: Mapping[str, bytes | None], cost: Decimal | int | str) -> None:
        """Change a row's text in place, and read it again. The start stays, so its place in the list does."""
        with self._lock:
            session = self.session(session_id)
            edited = read_session(edit_text(session.text, changes, number_text(cost)), session.kind)
            self._rows[self._position(session)] = edited
            self._index()[session_id] = edited
            self._results = {}

    def _position(self, session: Session) -> int:
        """Where a held session stands in the list."""
        position = bisect_left(self._keys, _order(session))
        while self._rows[position] is not session:
            position += 1
        return position

    def _index(self) -> dict[str, Session]:
        """Sessions by id, made when first needed: only a change asks for it."""
        if self._by_id is None:
            self._by_id, self._repeated = {}, set()
            for row in reversed(self._rows):
                if row.id is not None:
                    if row.id in self._by_id:
                        self._repeated.add(row.id)
                    self._by_id[row.id] = row
        return self._by_id


def owner_of(session: Session, owners: Mapping[str, Sequence[OwnerChange]]) -> str | None:
    """Whose a session is: its own user, else the owner of its sandbox at its start, else nobody (rule 9)."""
    changes = owners.get(session.computer or "", ())
    if session.user is not None or not changes:
        return session.user
    start = _UNREADABLE if session.start is None else session.start
    return next((owner for since, owner in reversed(changes) if since <= start), changes[0][1])


def _order(session: Session) -> int:
    """Sort key: newest first, unreadable starts before all."""
    return _UNREADABLE if session.start is None else -session.start


def _sandbox_order(sandbox: Sandbox) -> int:
    """Sort key: newest first, unreadable creation times before all."""
    return _UNREADABLE if sandbox.created is None else -sandbox.created


def _end(session: Session, now: int) -> int:
    """Where a session ends for a window: never before its start."""
    start = session.start or 0
    if session.running:
        return max(start, now)
    return start if session.end is None else max(start, session.end)


def _kind(row: Row) -> str:
    """Whether a row was given as text (served untouched) or as a mapping."""
    return "text" if isinstance(row, str) else "dict"


def _limits(limits: Mapping[str, Limit]) -> dict[str, Limit]:
    """All four limits, those left out uncapped. Raises `ValueError` for an unknown or unusable one."""
    unknown = sorted(set(limits) - set(LIMITS))
    if unknown:
        raise ValueError(f"unknown limit {unknown[0]!r}: it is one of {', '.join(LIMITS)}")
    for name, value in limits.items():
        usable = value is None or (isinstance(value, int | Decimal) and not isinstance(value, bool) and value >= 0)
        if not usable:
            raise ValueError(f"{name} must be null or a number of at least 0")
    return {name: limits.get(name) for name in LIMITS}
