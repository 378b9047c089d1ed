"""Whose turn it is to send: the one budget of requests that all threads of a client share.

`Pace` decides, this waits. One thread at a time waits for the pace and the others queue behind it, so that a turn wakes
one thread and not all of them. No wait here counts as a try, or against the deadline of a request.
"""

from __future__ import annotations

import logging
import math
import threading
import time

from core.api.limit_headers import LimitHeaders
from core.api.pace import Pace
from core.errors import StoppedError

logger = logging.getLogger("miosa_billing")

# Changes of the pace by less are not worth a line.
_WORTH_A_LINE = 1.25


class Turns:
    """Gives out turns to send, at the pace that the API allows. Any thread may use it."""

    def __init__(self, requests_per_minute: float, longest_wait: float) -> None:
        """Begin at a pace set by hand, or (0) unlimited. No pause longer than `longest_wait` (seconds) is begun."""
        ceiling = requests_per_minute / 60 if requests_per_minute else math.inf
        self._pace = Pace(longest_wait, ceiling)
        self._queue = threading.Lock()
        self._changed = threading.Condition()
        self._is_stopped = False
        self._began: float | None = None
        self._logged_rate = 0.0

    def take(self) -> float:
        """Wait for a turn. Returns the moment, on the monotonic clock. Raises `StoppedError`."""
        with self._queue, self._changed:
            while True:
                if self._is_stopped:
                    raise StoppedError("stopped")
                now = time.monotonic()
                seconds = self._pace.wait(now)
                if not seconds:
                    self._began = now if self._began is None else self._began
                    return now
                self._changed.wait(None if seconds == math.inf else seconds)

    def accepted(self, sent_at: float, told: LimitHeaders | None) -> None:
        """Report an answer to a request that was not refused for its pace."""
        with self._changed:
            is_learned = self._pace.accept(sent_at, time.monotonic(), told)
            self._changed.notify_all()
            rate, is_by_hand = self._pace.rate, self._pace.rate >= self._pace.ceiling
        if is_learned and not 1 / _WORTH_A_LINE < rate / (self._logged_rate or math.inf) < _WORTH_A_LINE:
            self._logged_rate = rate
            source = "as set by hand" if is_by_hand else f"learned from the API ({_said(self._pace.told)})"
            logger.info("the pace is %.3g requests per minute, %s", rate * 60, source)

    def refused(self, sent_at: float, told: LimitHeaders | None, retry_after: float | None) -> float:
        """Report a refusal for the pace (429). Returns for how many seconds the API has refused everything."""
        now = time.monotonic()
        with self._changed:
            is_first = not self._pace.is_limited
            self._pace.refuse(sent_at, now, told, retry_after)
            self._changed.notify_all()
            accepted, seconds = self._pace.accepted, self._pace.seconds_refused(now)
        if is_first:
            wait = f"to come back in {retry_after:.3g} s" if retry_after else "it does not say when to come back"
            logger.warning(
                "the API limits requests: status 429 after %d answers, %s; %s. From here on requests are sent at the "
                "pace that it allows; --requests-per-minute sets one by hand",
                accepted,
                wait,
                _said(told),
            )
        return seconds

    def unanswered(self, sent_at: float) -> None:
        """Report a request that got no answer."""
        with self._changed:
            self._pace.end(sent_at, time.monotonic())
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Keep all threads from sending for so long, unless no request may wait that long."""
        with self._changed:
            self._pace.hold(time.monotonic(), seconds)

    def stop(self) -> None:
        """End all waits with `StoppedError`."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    @property
    def known_per_minute(self) -> float | None:
        """The pace in requests per minute as set by hand, or as learned; None as long as it is not known."""
        pace, told = self._pace, self._pace.told
        if pace.rate < math.inf:
            return pace.rate * 60
        return told.requests_per_second * 60 if told is not None and told.requests_per_second else None

    @property
    def accepted_per_minute(self) -> float:
        """The requests that were answered per minute so far."""
        if self._began is None:
            return 0.0
        return self._pace.accepted * 60 / max(1e-3, time.monotonic() - self._began)


def _said(told: LimitHeaders | None) -> str:
    """What headers say about the limit, to be shown."""
    if told is None:
        return "its headers name no limit"
    parts = []
    if told.limit is not None:
        window = f" in {told.window_seconds:g} s" if told.window_seconds else ""
        parts.append(f"a limit of {told.limit} requests{window}")
    if told.remaining is not None:
        parts.append(f"{told.remaining} remaining")
    if told.reset_seconds is not None:
        parts.append(f"anew in {told.reset_seconds:.3g} s")
    return "its headers name " + (", ".join(parts) or "no limit")
