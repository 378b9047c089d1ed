"""Bringing users' quotas to what is wanted, in batches: look, write down, change, look again, land what was seen.

What is changed is written down before it is sent, and what came of it after, each in a transaction. A kill anywhere
leaves at most a batch whose outcome nobody noted, and a rerun sees by the vendor's own answers what is left to do.
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
from publish.quotas.comparison import Wanted
from publish.quotas.limits import FIELDS, Quota, quota_body, read_quota

Item = TypeVar("Item")
Result = TypeVar("Result")

BRAKE_PERCENT = 20
"""More than this share of all users at once takes a word of force."""

_THREADS = 8
_BATCH_USERS = 64
# Whoever else has no answer after as many tries, and as long: the API is away, and the rest would wait as long again.
_MOST_GIVEN_UP = 3


@dataclass(slots=True)
class Outcome:
    """What came of it, by user, in order."""

    changed: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    """Whose quota was found to be as wanted: nothing was sent."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """Users, and why."""
    untried: int = 0
    """How many were left, because of `stopped_by`."""
    stopped_by: ExtractError | None = None
    """What nobody after would have fared better with."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A quota as the vendor has it at a moment."""

    status: int
    payload: str | None
    normalized: str | None
    started_at: datetime
    ended_at: datetime
    quota: Quota


@dataclass(frozen=True, slots=True)
class _Target:
    """What a user's quota has to become."""

    user: str
    caps: Mapping[str, Decimal]
    change: QuotaChange


@dataclass(frozen=True, slots=True)
class _Written:
    """A change that was sent, and what was seen afterwards."""

    change: QuotaChange
    seen: _Answer | None
    failure: ExtractError | None


class Applying:
    """One run of changes. Threads ask and send, this thread writes."""

    def __init__(
        self, client: Client, warehouse: RawWriter, bar: Bar, redact: Callable[[str], str], threads: int = 0
    ) -> None:
        """Prepare; nothing is asked yet. `redact` blots secrets out of what is written down."""
        self._client = client
        self._warehouse = warehouse
        self._bar = bar
        self._redact = redact
        self._threads = threads or _THREADS
        self._pool = ThreadPoolExecutor(self._threads, "quotas")
        self._loads = 0
        self._given_up = 0

    def apply(self, wanted: Mapping[str, Mapping[str, Wanted]]) -> Outcome:
        """Bring the quotas of these users to what is wanted. What fails is told; nothing is raised for it."""
        outcome, users = Outcome(), list(wanted)
        # The first one alone tells of a key that may read but not change, or of a wrong address.
        batches = [users[:1], *(users[start : start + _BATCH_USERS] for start in range(1, len(users), _BATCH_USERS))]
        for batch in batches:
            if batch and outcome.stopped_by is None:
                self._apply_batch(batch, wanted, outcome)
        outcome.failed.sort()
        outcome.untried = len(users) - len(outcome.changed) - len(outcome.already) - len(outcome.failed)
        return outcome

    def _apply_batch(self, users: Sequence[str], wanted: Mapping[str, Mapping[str, Wanted]], outcome: Outcome) -> None:
        """Look at the quotas of some users, change those that have to be, and land what was seen."""
        targets: list[_Target] = []
        settled: dict[str, _Answer] = {}
        for user, seen in self._each(self._look, users):
            if isinstance(seen, ExtractError):
                if not self._goes_on(user, seen, outcome):
                    break
                continue
            target = _target(user, seen.quota, wanted[user])
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
        """Change quotas, having written down that this is about to happen, and look at them again."""
        record_changes(self._warehouse.database, "intent", [target.change for target in targets])
        done: list[QuotaChange] = []
        seen: dict[str, _Answer] = {}
        for target, written in self._each(self._write, targets):
            if isinstance(written, ExtractError):  # nothing that sends raises: this is no answer to a change
                raise written
            done.append(written.change)
            if written.seen is not None:
                seen[target.user] = written.seen
            if written.failure is None:
                outcome.changed.append(target.user)
                self._given_up = 0
                self._bar.advance()
            elif not self._goes_on(target.user, written.failure, outcome):
                break
        record_changes(self._warehouse.database, "outcome", done)
        self._land(seen)

    def _each(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result | ExtractError]]:
        """Items and what came of each, or why nothing did, in order, several at a time."""

        def attempt(item: Item) -> Result | ExtractError:
            try:
                return work(item)
            except ExtractError as error:
                return error

        yield from zip(items, map_ahead(self._pool, attempt, items, self._threads - 1), strict=True)

    def _goes_on(self, user: str, failure: ExtractError, outcome: Outcome) -> bool:
        """Note a user's failure. Tells whether the others may fare better."""
        outcome.failed.append((user, self._redact(str(failure))))
        self._bar.advance()
        self._given_up = self._given_up + 1 if isinstance(failure, GivenUpError) else 0
        if isinstance(failure, RefusedKeyError) or self._given_up >= _MOST_GIVEN_UP:
            outcome.stopped_by = failure
        return outcome.stopped_by is None

    def _look(self, user: str) -> _Answer:
        """Ask for a user's quota (in a thread)."""
        started_at = utc_now()
        status, payload, normalized = self._client.get(_path(user), {}, read_quota_answer, accepted=ACCEPTED)
        quota = _read(status, payload if normalized is None else normalized)
        return _Answer(status, payload, normalized, started_at, utc_now(), quota)

    def _write(self, target: _Target) -> _Written:
        """Send a change, and look at what is in force then, whatever came of sending it (in a thread)."""
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
            seen = self._look(target.user)
        except ExtractError as error:
            failure = failure or error
            return _Written(replace(change, error=change.error or self._redact(str(error))), None, failure)
        # What counts is what is in force: an answer may get lost after the change it was to confirm.
        if seen.quota.caps == target.caps:
            return _Written(replace(change, is_in_force=True), seen, None)
        failure = failure or ApiError(f"the API took the change, and then told of other limits: {_told(seen.quota)}")
        return _Written(replace(change, is_in_force=False, error=self._redact(str(failure))), seen, failure)

    def _land(self, answers: Mapping[str, _Answer]) -> None:
        """Land answers as the extractor does, as a complete load of their own."""
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


def _target(user: str, live: Quota, wanted: Mapping[str, Wanted]) -> _Target | None:
    """What has to be sent so that what is wanted is in force; None where it is. What is not managed stays as it is."""
    caps = {quota: cap for quota, cap in live.caps.items() if quota not in wanted}
    caps |= {quota: each.cap for quota, each in wanted.items() if each.cap is not None}
    if caps == live.caps:
        return None
    body = quota_body(caps, live.others)
    return _Target(user, caps, QuotaChange(str(uuid.uuid4()), user, "DELETE" if body is None else "PUT", payload=body))


def _path(user: str) -> str:
    """Where a user's quota is. Raises `ApiError` where its address would be too long."""
    path = quota_path(user)
    if path is None:
        raise ApiError("the id is too long for an address: the vendor cannot have a quota for it")
    return path


def _read(status: int, text: str | None) -> Quota:
    """Read an answer about a quota. Raises `ApiError`."""
    try:
        return read_quota(status, text)
    except (ValueError, RecursionError) as error:
        raise ApiError("the answer about the quota cannot be read") from error


def _told(quota: Quota) -> str:
    """The limits of a quota, to show."""
    return ", ".join(f"{name} {quota.limit(name)}" for name in FIELDS)
