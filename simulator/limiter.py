"""A rate limiter in front of the simulated API, of the kinds that real APIs have. Its clock is the caller's.

It decides about one request at a time and counts what it refused, so that a test or a benchmark can judge a client.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal, get_args

Kind = Literal["window", "bucket"]
Headers = Literal["none", "separate", "combined", "policy", "x-seconds", "x-epoch"]
RetryAfter = Literal["none", "seconds", "date", "body"]

_FIRST_MINUTE = 60.0


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What a limiter allows, and what it says about it. Raises `ValueError` for values that make no limit."""

    requests: int
    """Requests in each `seconds`."""
    seconds: float = 60.0
    kind: Kind = "window"
    """`window`: all at once when a window begins. `bucket`: one after the other, up to `burst` saved up."""
    burst: int | None = None
    """What a bucket holds when it is full; None: `requests`."""
    is_aligned: bool = False
    """Whether windows begin at multiples of `seconds` by the clock, rather than with the first request."""
    headers: Headers = "none"
    """How each answer reports the limit: `RateLimit-*`, both forms of `RateLimit`, or `X-RateLimit-*`."""
    retry_after: RetryAfter = "seconds"
    """How a refusal says when to come back."""
    changes: Sequence[tuple[float, int]] = ()
    """Seconds after the first request, and the number of requests that is allowed from then on."""
    others_share: float = 0.0
    """The share of the limit that a second client of the same key uses, evenly spread."""

    def __post_init__(self) -> None:
        """Refuse values that no branch would know."""
        for value, kind in ((self.kind, Kind), (self.headers, Headers), (self.retry_after, RetryAfter)):
            if value not in get_args(kind):
                raise ValueError(f"a limit must be one of {', '.join(get_args(kind))}: not {value!r}")
        if self.requests < 1 or self.seconds <= 0 or not 0 <= self.others_share < 1:
            raise ValueError("a limit needs at least 1 request in more than 0 seconds, and a share of others below 1")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about a request."""

    is_allowed: bool
    remaining: int
    """Requests that would be allowed now."""
    reset_seconds: float
    """Until all are allowed again."""
    retry_seconds: float
    """Until one more is allowed; 0 if one is allowed now."""
    limit: int


@dataclass(slots=True)
class Limiter:
    """Applies one limit. Moments are seconds on any clock that does not go back."""

    limit: Limit
    accepted_at: list[float] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    _began: float | None = None
    _window_began: float = 0.0
    _left: float = 0.0
    """What is left of the window, or in the bucket."""
    _seen: float = 0.0
    _others: int = 0
    """What the second client was due in this window."""

    def take(self, now: float) -> Verdict:
        """Decide about a request, and count it."""
        if self._began is None:
            self._began = self._seen = now
            self._window_began = now - now % self.limit.seconds if self.limit.is_aligned else now
            self._left = self._full(now)
        self._refill(now)
        is_allowed = self._left >= 1 - 1e-9
        if is_allowed:
            self._left -= 1
        (self.accepted_at if is_allowed else self.refused_at).append(now)
        left = max(0.0, self._left + 1e-9)
        return Verdict(is_allowed, int(left), self._reset_seconds(now), self._retry_seconds(now, left), self._rate(now))

    def refused_share(self, first_seconds: float = _FIRST_MINUTE) -> float:
        """The share of requests that were refused, without those of the first seconds."""
        since = (self._began or 0.0) + first_seconds
        refused = sum(moment >= since for moment in self.refused_at)
        accepted = sum(moment >= since for moment in self.accepted_at)
        return refused / max(1, refused + accepted)

    def seconds_allowed(self, requests: int) -> float:
        """How long so many requests take at the rate that is left for this client, without what is saved up."""
        since, done = 0.0, 0.0
        share = (1 - self.limit.others_share) / self.limit.seconds
        rate = self.limit.requests * share
        for moment, number in self.limit.changes:
            if done + (moment - since) * rate >= requests:
                break
            done, since, rate = done + (moment - since) * rate, moment, number * share
        return since + (requests - done) / rate

    def _rate(self, now: float) -> int:
        """The requests allowed in each window at this moment."""
        passed = now - (self._began if self._began is not None else now)
        rate = self.limit.requests
        for moment, number in self.limit.changes:
            rate = number if passed >= moment else rate
        return rate

    def _full(self, now: float) -> float:
        """What a new window or a full bucket holds."""
        if self.limit.kind == "bucket" and self.limit.burst is not None:
            return float(self.limit.burst)
        return float(self._rate(now))

    def _refill(self, now: float) -> None:
        """Begin a new window if it is time, or drip into the bucket, and let the second client take its share."""
        share, seconds = self.limit.others_share, self.limit.seconds
        if self.limit.kind == "bucket":
            # What drips in is shared as it comes.
            self._left += (now - self._seen) * self._rate(now) / seconds * (1 - share)
            self._left = min(self._full(now), self._left)
            self._seen = now
            return
        if now - self._window_began >= seconds - 1e-9:
            passed = (now - self._window_began + 1e-9) // seconds
            self._window_began += passed * seconds
            if not self.limit.is_aligned and passed > 1:
                self._window_began = now  # windows begin with a request, and there was none in the one before
            self._left, self._others = self._full(now), 0
        due = math.floor(self._rate(now) * share * (now - self._window_began) / seconds + 1e-9)
        taken = min(due - self._others, math.floor(self._left + 1e-9))
        self._left, self._others = self._left - max(0, taken), due

    def _reset_seconds(self, now: float) -> float:
        if self.limit.kind == "window":
            return self._window_began + self.limit.seconds - now
        return (self._full(now) - self._left) * self.limit.seconds / self._rate(now)

    def _retry_seconds(self, now: float, left: float) -> float:
        if left >= 1:
            return 0.0
        if self.limit.kind == "window":
            return self._reset_seconds(now)
        return (1 - left) * self.limit.seconds / self._rate(now)


def limit_headers(limit: Limit, verdict: Verdict, clock: datetime) -> dict[str, str]:
    """The headers of an answer. `clock` is the server's time in UTC."""
    said, reset = verdict, math.ceil(verdict.reset_seconds)
    allowed, seconds = verdict.limit, f"{limit.seconds:g}"
    headers = {
        "none": {},
        "separate": {
            "ratelimit-limit": f"{allowed}, {allowed};w={seconds}",
            "ratelimit-remaining": str(said.remaining),
            "ratelimit-reset": str(reset),
        },
        "combined": {"ratelimit": f"limit={allowed}, remaining={said.remaining}, reset={reset}"},
        "policy": {
            "ratelimit-policy": f'"key";q={allowed};w={seconds}',
            "ratelimit": f'"key";r={said.remaining};t={reset}',
        },
        "x-seconds": {
            "x-ratelimit-limit": str(allowed),
            "x-ratelimit-remaining": str(said.remaining),
            "x-ratelimit-reset": str(reset),
        },
        "x-epoch": {
            "x-ratelimit-limit": str(allowed),
            "x-ratelimit-remaining": str(said.remaining),
            "x-ratelimit-reset": str(math.ceil(clock.timestamp() + verdict.reset_seconds)),
        },
    }[limit.headers]
    if not verdict.is_allowed and limit.retry_after == "seconds":
        headers["retry-after"] = str(math.ceil(verdict.retry_seconds))
    if not verdict.is_allowed and limit.retry_after == "date":
        # Dates have whole seconds: one that is cut would be too early.
        moment = datetime.fromtimestamp(math.ceil(clock.timestamp() + verdict.retry_seconds), UTC)
        headers["retry-after"] = format_datetime(moment, usegmt=True)
        headers["date"] = format_datetime(clock.astimezone(UTC), usegmt=True)
    return headers


def refusal_body(limit: Limit, verdict: Verdict, request_id: str) -> bytes:
    """The body of a refusal, in the vendor's envelope."""
    error: dict[str, object] = {"code": "rate_limited", "message": "Too many requests.", "request_id": request_id}
    if limit.retry_after == "body":
        error["retry_after_ms"] = math.ceil(verdict.retry_seconds * 1000)
    return json.dumps({"error": error}).encode()
