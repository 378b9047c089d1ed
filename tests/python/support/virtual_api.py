"""A client with threads and an API with a limiter, in virtual time: minutes of requests take milliseconds.

Only `Pace` and `Limiter` are real. Threads, network and clocks are events in a heap.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.api.limit_headers import LimitHeaders, read_limit_headers
from core.api.pace import Pace
from simulator.limiter import Limit, Limiter, Verdict, limit_headers

_EPOCH = datetime(2026, 11, 3, tzinfo=UTC)
_START = 1000.0
"""Not 0, so that windows that go by the clock have begun already."""
_TIMER_SECONDS = 0.0001
"""How late a wait ends."""


@dataclass(frozen=True)
class Network:
    """How a client sends."""

    threads: int = 16
    latency: float = 0.05
    """Seconds from a request to its answer, at least."""
    jitter: float = 0.2
    """By which share it may be longer."""
    seed: int = 1


@dataclass(frozen=True)
class Run:
    """What came of a number of requests."""

    seconds: float
    limiter: Limiter
    pace: Pace
    sent_at: list[float]
    """When each request was sent, from the start of the run."""

    @property
    def ratio(self) -> float:
        """The time taken, relative to what the limit allows."""
        return self.seconds / self.limiter.seconds_allowed(len(self.limiter.accepted_at))


def run(
    limit: Limit | None,
    requests: int,
    network: Network = Network(),
    per_minute: float = 0.0,
    longest_seconds: float = 1e6,
    start: float = _START,
) -> Run:
    """Send so many requests until all are accepted. Raises `AssertionError` if that takes too long."""
    draw = random.Random(network.seed)
    pace = Pace(600.0, per_minute / 60 if per_minute else math.inf)
    # Without a limit, one that is never met.
    limiter = Limiter(limit or Limit(requests=10**9))
    events: list[tuple[float, int, str, tuple[float, Verdict | None, float]]] = []
    order = itertools.count()
    waiting, left, accepted = network.threads, requests, 0
    sent: list[float] = []
    now, turn = start, 0

    def later(moment: float, kind: str, sent_at: float = 0.0, verdict: Verdict | None = None, at: float = 0.0) -> None:
        heapq.heappush(events, (moment, next(order), kind, (sent_at, verdict, at)))

    def travel() -> float:
        return network.latency / 2 * (1 + network.jitter * draw.random())

    later(now, "turn", turn)
    while accepted < requests:
        assert events, "nothing is under way, and nobody waits for a moment"
        now, _, kind, (sent_at, verdict, at) = heapq.heappop(events)
        assert now - start <= longest_seconds, f"{accepted} of {requests} accepted after {now - start:.0f} s"
        if kind == "turn" and sent_at != turn:
            continue  # another wait took its place
        if kind == "arrival":
            later(now + travel(), "answer", sent_at, limiter.take(now), now)
            continue
        if verdict is not None:
            waiting += 1
            told, retry_after = _read(limiter.limit, verdict, at)
            if verdict.is_allowed:
                accepted += 1
                pace.accept(sent_at, now, told if limit else None)
            else:
                left += 1
                pace.refuse(sent_at, now, told, retry_after)
        while left and waiting:
            seconds = pace.wait(now)
            if seconds:
                turn += 1
                if seconds < math.inf:
                    later(now + seconds + _TIMER_SECONDS, "turn", turn)
                break
            left, waiting = left - 1, waiting - 1
            sent.append(now - start)
            later(now + travel(), "arrival", now)
    return Run(now - start, limiter, pace, sent)


def _read(limit: Limit, verdict: Verdict, at: float) -> tuple[LimitHeaders | None, float | None]:
    """What the client reads of an answer: its headers, and the wait that a refusal asks for."""
    clock = _EPOCH + timedelta(seconds=at)
    headers = limit_headers(limit, verdict, clock)
    told = read_limit_headers(headers, clock.replace(tzinfo=None))
    if verdict.is_allowed:
        return told, None
    if limit.retry_after == "body":
        return told, math.ceil(verdict.retry_seconds * 1000) / 1000
    if limit.retry_after == "date":
        return told, float(math.ceil(at % 1 + verdict.retry_seconds))
    if limit.retry_after == "seconds":
        return told, float(headers["retry-after"])
    return told, told.reset_seconds if told is not None and told.remaining == 0 else None
