"""Applying desired limits at the vendor, in batches: read, record the intent, change, read again, land the answers.

The intent is recorded before a change is sent, and the outcome after it, each in a transaction. A kill leaves at most
one batch without an outcome; a rerun sees from the vendor's own answers what is left to do.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from core.api.client import Client
from core.api.quotas import ACCEPTED, quota_path, read_quota_answer
from core.canonical import spell_surrogates
from core.clock import utc_now
from core.errors import ApiError, ExtractError, GivenUpError, RefusedKeyError
from core.parallel import map_ahead
from core.progress import Bar
from core.raw.load import Load
from core.raw.writer import RawWriter
from publish.quotas.changes import QuotaChange, record_changes
from publish.quotas.comparison import DesiredLimit
from publish.quotas.limits import FIELDS, Quota, quota_body, read_quota

Item = TypeVar("Item")
Result = TypeVar("Result")

BRAKE_PERCENT = 20
"""A change of more than this share of all users needs `--force`."""

_THREADS = 8
_BATCH_USERS = 64
# So many users in a row whose requests were given up: the API is down, and each further one would wait as long.
_MOST_GIVEN_UP = 3


@dataclass(slots=True)
class Outcome:
    """The outcome, by user, in order."""

    changed: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    """Users whose quota had the desired limits already: nothing was sent."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Users and reasons."""
    untried: int = 0
    """How many users were not tried, because of `stopped_by`."""
    stopped_by: ExtractError | None = None
    """The failure that all further users would have met too."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A quota at the vendor at one moment."""

    status: int
    payload: str | None
    normalized: str | None
    started_at: datetime
    ended_at: datetime
    quota: Quota


@dataclass(frozen=True, slots=True)
class _Target:
    """What has to be sent for a user, and the limits that it sets."""

    user: str
    caps: Mapping[str, Decimal]
    change: QuotaChange


@dataclass(frozen=True, slots=True)
class _Written:
    """A change that was sent, and the quota as read afterwards."""

    change: QuotaChange
    seen: _Answer | None
    failure: ExtractError | None


class Applying:
    """One run of changes. Other threads send requests; this thread writes to the warehouse."""

    def __init__(
        self, client: Client, warehouse: RawWriter, bar: Bar, redact: Callable[[str], str], threads: int = 0
    ) -> None:
        """Prepare; nothing is sent yet. `redact` removes secrets from what is recorded."""
        self._client = client
        self._warehouse = warehouse
        self._bar = bar
        self._redact = redact
        self._threads = threads or _THREADS
        self._pool = ThreadPoolExecutor(self._threads, "quotas")
        self._loads = 0
        self._given_up = 0

    def apply(self, desired: Mapping[str, Mapping[str, DesiredLimit]]) -> Outcome:
        """Apply the desired limits of these users. Failures are in the outcome, not raised."""
        outcome, users = Outcome(), list(desired)
        # The first user alone shows whether the key may change quotas, and whether the address is right.
        batches = [users[:1], *(users[start : start + _BATCH_USERS] for start in range(1, len(users), _BATCH_USERS))]
        for batch in batches:
            if batch and outcome.stopped_by is None:
                self._apply_batch(batch, desired, outcome)
        outcome.failed.sort()
        outcome.untried = len(users) - len(outcome.changed) - len(outcome.already) - len(outcome.failed)
        return outcome

    def _apply_batch(
        self, users: Sequence[str], desired: Mapping[str, Mapping[str, DesiredLimit]], outcome: Outcome
    ) -> None:
        """Read the quotas of some users, change those that differ, and land the answers."""
        targets: list[_Target] = []
        settled: dict[str, _Answer] = {}
        for user, seen in self._each(self._read_quota, users):
            if isinstance(seen, ExtractError):
                if not self._may_go_on(user, seen, outcome):
                    break
                continue
            target = _target(user, seen.quota, desired[user])
            if target is None:
                settled[user] = seen
                outcome.already.append(user)
                self._bar.advance()
            else:
                targets.append(target)
        self._land(settled)
        if outcome.stopped_by is None:
            self._change(targets, outcome)

    def _change(self, targets: Sequence[_Target], outcome: Outcome) -> None:
        """Record the intent, change the quotas, read them again, and record the outcome."""
        record_changes(self._warehouse.database, "intent", [target.change for target in targets])
        done: list[QuotaChange] = []
        seen: dict[str, _Answer] = {}
        for target, written in self._each(self._write_quota, targets):
            if isinstance(written, ExtractError):  # not of the API: `_write_quota` returns those
                raise written
            done.append(written.change)
            if written.seen is not None:
                seen[target.user] = written.seen
            if written.failure is None:
                outcome.changed.append(target.user)
                self._given_up = 0
                self._bar.advance()
            elif not self._may_go_on(target.user, written.failure, outcome):
                break
        record_changes(self._warehouse.database, "outcome", done)
        self._land(seen)

    def _each(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result | ExtractError]]:
        """Each item with its result or error, in order, several at a time."""

        def attempt(item: Item) -> Result | ExtractError:
            try:
                return work(item)
            except ExtractError as error:
                return error

        yield from zip(items, map_ahead(self._pool, attempt, items, self._threads - 1), strict=True)

    def _may_go_on(self, user: str, failure: ExtractError, outcome: Outcome) -> bool:
        """Note the failure of a user. Returns whether other users may succeed."""
        outcome.failed.append((user, self._redact(str(failure))))
        self._bar.advance()
        self._given_up = self._given_up + 1 if isinstance(failure, GivenUpError) else 0
        if isinstance(failure, RefusedKeyError) or self._given_up >= _MOST_GIVEN_UP:
            outcome.stopped_by = failure
        return outcome.stopped_by is None

    def _read_quota(self, user: str) -> _Answer:
        """Read the quota of a user (in a thread)."""
        started_at = utc_now()
        status, payload, normalized = self._client.get(_path(user), {}, read_quota_answer, accepted=ACCEPTED)
        quota = _read(status, payload if normalized is None else normalized, user)
        return _Answer(status, payload, normalized, started_at, utc_now(), quota)

    def _write_quota(self, target: _Target) -> _Written:
        """Send a change and read the quota again, whether or not the change was accepted (in a thread)."""
        change, failure = target.change, None
        body = None if change.payload is None else change.payload.encode()
        try:
            answer = self._client.write(_path(target.user), body, change.change_id)
            text = spell_surrogates(answer.body.decode("utf-8", "replace")).replace("\0", "\N{REPLACEMENT CHARACTER}")
            change = replace(change, http_status=answer.status, payload=self._redact(text) or None)
        except ExtractError as error:
            failure = error
            change = replace(change, payload=None, error=self._redact(str(error)))
            if isinstance(error, RefusedKeyError | GivenUpError):
                return _Written(change, None, failure)
        try:
            seen = self._read_quota(target.user)
        except ExtractError as error:
            failure = failure or error
            return _Written(replace(change, error=change.error or self._redact(str(error))), None, failure)
        # The effective limits decide: the answer may get lost although the change took effect.
        if seen.quota.caps == target.caps:
            return _Written(replace(change, is_in_force=True), seen, None)
        failure = failure or ApiError(
            f"the API took the change, and then returned other limits: {_limits_text(seen.quota)}"
        )
        return _Written(replace(change, is_in_force=False, error=self._redact(str(failure))), seen, failure)

    def _land(self, answers: Mapping[str, _Answer]) -> None:
        """Land answers as one complete load, as the extractor does."""
        if not answers:
            return
        self._loads += 1
        load = Load("quotas", self._loads, pages=len(answers))
        load.started_at = min(answer.started_at for answer in answers.values())
        load.ended_at = max(answer.ended_at for answer in answers.values())
        for place, (user, answer) in enumerate(answers.items()):
            self._warehouse.stage_answer(load, place, user, answer.status, answer.payload, answer.normalized)
        self._warehouse.examine([load])
        self._warehouse.land([load])


def _target(user: str, live: Quota, desired: Mapping[str, DesiredLimit]) -> _Target | None:
    """What has to be sent to make the desired limits effective; None if they are. Other limits stay as they are."""
    caps = {quota: cap for quota, cap in live.caps.items() if quota not in desired}
    caps |= {quota: each.cap for quota, each in desired.items() if each.cap is not None}
    if caps == live.caps:
        return None
    body = quota_body(caps, live.others)
    return _Target(user, caps, QuotaChange(str(uuid.uuid4()), user, "DELETE" if body is None else "PUT", payload=body))


def _path(user: str) -> str:
    """The path of a user's quota. Raises `ApiError` if the address would be too long."""
    path = quota_path(user)
    if path is None:
        raise ApiError("the id is too long for an address: the vendor cannot have a quota for it")
    return path


def _read(status: int, text: str | None, user: str) -> Quota:
    """Read an answer about a quota. Raises `ApiError`."""
    try:
        return read_quota(status, text, user)
    except (ValueError, RecursionError) as error:
        raise ApiError("the answer about the quota cannot be read") from error


def _limits_text(quota: Quota) -> str:
    """The limits of a quota as text."""
    return ", ".join(f"{name} {quota.limit(name)}" for name in FIELDS)
