"""Applying desired limits at the vendor, in batches: read, record the intent, change, read again, land the answers.

The intent is recorded before a change is sent, and the outcome after it, each in a transaction. A kill leaves at most
one batch without an outcome; a rerun sees from the vendor's own answers what is left to do.

A limit that is no longer desired is left out, which by the documentation uncaps it. If it is still there when the quota
is read again, it is sent as null, and if that does not help either, the quota is removed and set anew. Both intents of
that are recorded before the removal, so that a rerun knows which limits the user had (`publish.quotas.interrupted`).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

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
from publish.quotas.interrupted import InterruptedChange
from publish.quotas.limits import FIELDS, NO_QUOTA, Quota, quota_body, read_quota

logger = logging.getLogger("miosa_billing")

Item = TypeVar("Item")
Result = TypeVar("Result")

BRAKE_PERCENT = 20
"""A change of more than this share of all users needs `--force`."""

LEFT_OUT, AS_NULL, ANEW = range(3)
"""The ways to clear a limit, from the documented one on."""

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
    """The limits that a user should have, and what the vendor has."""

    user: str
    caps: Mapping[str, Decimal]
    others: Mapping[str, Any]
    """Limits of names that only the vendor knows: they are sent as they are."""
    live: Quota

    @property
    def cleared(self) -> list[str]:
        """The limits that are to be cleared while the user keeps others."""
        return sorted(self.live.caps.keys() - self.caps.keys()) if self.caps or self.others else []


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The changes that are sent for a target, one after the other, and the way in which they clear limits."""

    target: _Target
    way: int
    changes: Sequence[QuotaChange]


@dataclass(frozen=True, slots=True)
class _Written:
    """Changes that were sent, and the quota as read afterwards."""

    changes: Sequence[QuotaChange]
    seen: _Answer | None
    failure: ExtractError | None
    is_kept: bool = False
    """Whether nothing is wrong but that a limit to be cleared is still there, or that it was refused as null."""


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
        self._way = LEFT_OUT
        self._interrupted: Mapping[str, InterruptedChange] = {}

    def apply(
        self,
        desired: Mapping[str, Mapping[str, DesiredLimit]],
        interrupted: Mapping[str, InterruptedChange] | None = None,
    ) -> Outcome:
        """Apply the desired limits of these users, and finish changes of theirs that were cut off.

        Failures are in the outcome, not raised.
        """
        outcome, users = Outcome(), list(desired)
        self._interrupted = interrupted or {}
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
        finished: list[QuotaChange] = []
        settled: dict[str, _Answer] = {}
        for user, seen in self._each(self._read_quota, users):
            if isinstance(seen, ExtractError):
                if not self._may_go_on(user, seen, outcome):
                    break
                continue
            interrupted = self._interrupted.get(user)
            target = _target(user, seen.quota, desired[user], interrupted.quota if interrupted else NO_QUOTA)
            if target is None:
                settled[user] = seen
                outcome.already.append(user)
                self._bar.advance()
                if interrupted:
                    finished.append(QuotaChange(interrupted.change_id, user, "PUT", is_in_force=True))
            else:
                targets.append(target)
        record_changes(self._warehouse.database, "outcome", finished)
        self._land(settled)
        attempts = [_attempt(target, self._way if target.cleared else LEFT_OUT) for target in targets]
        while attempts and outcome.stopped_by is None:
            attempts = self._change(attempts, outcome)

    def _change(self, attempts: Sequence[_Attempt], outcome: Outcome) -> list[_Attempt]:
        """Record the intents, change the quotas, read them again, and record the outcomes. Returns what to try next."""
        record_changes(self._warehouse.database, "intent", [change for each in attempts for change in each.changes])
        done: list[QuotaChange] = []
        seen: dict[str, _Answer] = {}
        further: list[_Attempt] = []
        for attempt, written in self._each(self._write_quota, attempts):
            if isinstance(written, ExtractError):  # not of the API: `_write_quota` returns those
                raise written
            user = attempt.target.user
            done += written.changes
            if written.seen is not None:
                seen[user] = written.seen
            if written.failure is None:
                outcome.changed.append(user)
                self._given_up = 0
                self._bar.advance()
            elif written.is_kept and attempt.way < ANEW:
                further.append(_attempt(attempt.target, attempt.way + 1))
            elif not self._may_go_on(user, written.failure, outcome):
                break
        record_changes(self._warehouse.database, "outcome", done)
        self._land(seen)
        if further and further[0].way > self._way:
            self._way = further[0].way
            how = "sending null" if self._way == AS_NULL else "removing the quota and setting it anew"
            logger.warning("the API keeps a limit that is to be cleared: %s", how)
        return further

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

    def _write_quota(self, attempt: _Attempt) -> _Written:
        """Send the changes and read the quota again, whether or not they were accepted (in a thread)."""
        sent: list[QuotaChange] = []
        failure: ExtractError | None = None
        target = attempt.target
        for change in attempt.changes:
            # What follows a removal is sent even if that failed, because it may have been done all the same.
            if isinstance(failure, RefusedKeyError):
                sent.append(replace(change, payload=None, error="not sent"))
                continue
            change, failure = self._send(change)
            sent.append(change)
        if isinstance(failure, RefusedKeyError | GivenUpError):
            return _Written(sent, None, failure)
        try:
            seen = self._read_quota(target.user)
        except ExtractError as error:
            failure = failure or error
            return _Written(_with_outcome(sent, None, self._redact(str(error))), None, failure)
        # The effective limits decide: the answer may get lost although the change took effect.
        if seen.quota.caps == target.caps:
            return _Written(_with_outcome(sent, True), seen, None)
        is_kept = _is_kept(seen.quota, target) or (failure is not None and attempt.way == AS_NULL)
        failure = failure or ApiError(
            f"the API took the change, and then returned other limits: {_limits_text(seen.quota)}"
        )
        return _Written(_with_outcome(sent, False, self._redact(str(failure))), seen, failure, is_kept)

    def _send(self, change: QuotaChange) -> tuple[QuotaChange, ExtractError | None]:
        """Send a change. Returns it with its answer, and its failure."""
        body = None if change.payload is None else change.payload.encode()
        try:
            answer = self._client.write(_path(change.external_user_id), body, change.change_id)
        except ExtractError as error:
            return replace(change, payload=None, error=self._redact(str(error))), error
        text = spell_surrogates(answer.body.decode("utf-8", "replace")).replace("\0", "\N{REPLACEMENT CHARACTER}")
        return replace(change, http_status=answer.status, payload=self._redact(text) or None), None

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


def _target(
    user: str, live: Quota, desired: Mapping[str, DesiredLimit], interrupted: Quota = NO_QUOTA
) -> _Target | None:
    """What the user should have; None if the vendor has it. Limits that nothing asks for stay as they are."""
    caps = {quota: cap for quota, cap in live.caps.items() if quota not in desired or desired[quota].is_restored}
    for quota, each in desired.items():
        if each.cap is not None and not (each.is_restored and quota in live.caps):
            caps[quota] = each.cap
    others = {**interrupted.others, **live.others}
    if caps == live.caps and others == live.others:
        return None
    return _Target(user, caps, others, live)


def _attempt(target: _Target, way: int) -> _Attempt:
    """The changes that bring a target about, if limits are cleared in this way."""
    body = quota_body(target.caps, target.others)
    if way == AS_NULL:
        body = quota_body(target.caps, {**target.others, **{FIELDS[quota]: None for quota in target.cleared}})
    bodies = [None, body] if way == ANEW else [body]
    return _Attempt(
        target,
        way,
        [
            QuotaChange(str(uuid.uuid4()), target.user, "DELETE" if body is None else "PUT", payload=body)
            for body in bodies
        ],
    )


def _is_kept(seen: Quota, target: _Target) -> bool:
    """Whether the vendor has what was sent, and also what was to be cleared."""
    return (
        bool(target.cleared)
        and target.caps.items() <= seen.caps.items()
        and seen.caps.keys() - target.caps.keys() <= {*target.cleared}
    )


def _with_outcome(
    changes: Sequence[QuotaChange], is_in_force: bool | None, error: str | None = None
) -> list[QuotaChange]:
    """Changes as they are recorded: what the quota was read as afterwards is said of the last one."""
    *earlier, last = changes
    return [*earlier, replace(last, is_in_force=is_in_force, error=None if is_in_force else last.error or error)]


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
