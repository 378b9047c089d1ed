"""How fast to send requests, learned from what the API answers. Pure: the caller gives the time, and does the waiting.

As long as nothing is refused, nothing waits. From the first refusal (status 429) on:

1. Nothing is sent until the API accepts again. It says when (`Retry-After`, a reset), or single requests find out.
2. From then on requests are spaced evenly, a little slower than the API accepted them from one such moment to the next.
   That measures all limiters alike, windows and buckets: at such a moment both begin anew.
3. The pace grows slowly towards what was refused before. Once it is above that, the limit must have changed, and the
   pace grows faster and faster.

If headers say how many requests remain, these may be sent at once, and the rest waits for the reset. They are believed
only once a refusal has confirmed them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.api.limit_headers import LimitHeaders

# The figures below were chosen with the simulated limiters of tests/python/test_pace.py: see benchmarks/NOTES.md.

# A share of what was measured, so that a request that the network brings early is not refused.
_BELOW = 0.98

# --- Measuring, when the API accepts again
# So few requests measure nothing: the pace is cut by a share instead.
_FEWEST_MEASURED, _CUT = 8, 0.8
# With less of the time spent refused, the requests measure our own pace rather than the limit.
_MOSTLY_ACCEPTED = 0.25
# A wait that is given in whole seconds is up to a second longer than the limiter needs.
_ROUNDING_SECONDS = 1.0
_SHORTEST_SECONDS = 0.001

# --- Growing
# From below the limit to above it in so many requests, for each request that the last refusals cost (but not more than
# so many of them), and in so many times the wait that they cost (but not more than so many seconds of it).
_GROWTH_PER_CYCLE, _REQUESTS_FIRST_CYCLE, _REQUESTS_PER_CYCLE, _WAITS_PER_CYCLE = 0.05, 40.0, 50.0, 40.0
_MOST_REFUSALS, _LONGEST_STALL = 4, 2.0
# The growth is that slow so close to the refused pace, and in proportion faster farther below it. How far above the new
# pace the refused one may count is a matter of how many requests measured it.
_NEAR, _DOUBT = 0.03, 1.5
# So far above the refused pace, the limit must have changed. The growth doubles every so many requests from there on.
_RISE = 2.0
_CHANGED, _REQUESTS_PER_DOUBLING, _FASTEST_GROWTH = 1.04, 10.0, 0.02

# --- Asking whether requests are accepted again, if the API does not say
# At first often, because that measures the window; later on it only costs refusals.
_FIRST_PROBE, _LONGEST_PROBE, _PROBE_SHARE, _LATER_SHARE, _STALL_SHARE = 0.25, 4.0, 0.2, 0.6, 0.02

# Resets are given in whole seconds. Waiting for those of a shorter window would lose too much of it: the pace decides.
_SHORT_WINDOW = 20.0
# A wait ends a little late. So many seconds of it may be made up for.
_CATCH_UP_SECONDS = 0.05


@dataclass(slots=True)
class Pace:
    """Decides when the next request may be sent. Moments are seconds on one clock that does not go back."""

    longest_wait: float
    """Seconds. What headers ask for beyond this is left to a refusal, which ends the run."""
    ceiling: float = math.inf
    """Requests per second that are never exceeded: set by hand."""
    rate: float = math.inf
    """Requests per second as learned, or as set by hand."""
    accepted: int = 0
    refused: int = 0
    in_flight: int = 0
    is_limited: bool = False
    """Whether a request was refused."""
    told: LimitHeaders | None = None
    """The newest headers about a limit."""
    _next_at: float = -math.inf
    """When the next request may be sent, by the pace."""
    _held_until: float = -math.inf
    """Until when the API asked to send nothing."""
    _refused_rate: float = math.inf
    """The pace that was refused last."""
    _growth: float = 0.0
    """By which share the pace grows with each request."""
    _requests_above: int = 0
    """How many requests were accepted above the pace that was refused last."""
    _crossed_at: float = 0.0
    _crossed_rate: float = math.inf
    _longest_stall: float = 1.0
    _probe_at: float | None = None
    """While the API refuses: when to ask again."""
    _probe_step: float = 0.0
    _refused_before: int = 0
    _probe_sent_at: float | None = None
    """When the request was sent that asks now."""
    _is_wait_told: bool = False
    _stalled_at: float = 0.0
    """When the first request of this stall was refused."""
    _origin: float | None = None
    """Since when requests are counted to measure the pace."""
    _measured: int = 0
    _idle_since: float | None = None
    _is_waited_for: bool = False
    _is_binding: bool = False
    """Whether a request had to wait for the pace."""
    _told_at: float = -math.inf
    _resets_at: float = -math.inf
    _window_seconds: float = 0.0
    """The longest time to a reset so far."""
    _remaining: int | None = None
    _are_headers_wrong: bool = False
    _claim_tested_at: float = -math.inf
    _last_accepted_at: float | None = None

    def __post_init__(self) -> None:
        """Begin with the pace that was set by hand."""
        self.rate = min(self.rate, self.ceiling)

    # Sending

    def wait(self, now: float) -> float:
        """How long to wait: 0 if a request may be sent now, which then counts as sent. Infinite: until the next answer.

        The answer is to be reported by `accept`, `refuse` or `end`.
        """
        if self._origin is None:
            self._origin = now
        elif self._idle_since is not None:
            self._origin += now - self._idle_since  # nobody had anything to send meanwhile
        self._idle_since = None
        seconds = self._seconds_to_wait(now)
        self._is_waited_for = seconds > 0
        if seconds > 0:
            return seconds
        if self._probe_at is not None:
            self._probe_sent_at = now
        self.in_flight += 1
        if self.rate < math.inf:
            self._next_at = max(self._next_at, now - _CATCH_UP_SECONDS) + 1 / self.rate
        return 0.0

    def _seconds_to_wait(self, now: float) -> float:
        if now < self._held_until:
            return self._held_until - now
        if self._probe_at is not None:
            if self._probe_sent_at is not None:
                return math.inf
            return max(0.0, self._probe_at - now)
        told = self._seconds_by_headers(now)
        if told is not None:
            return told
        if now < self._next_at:
            self._is_binding = True
            return self._next_at - now
        return 0.0

    def _seconds_by_headers(self, now: float) -> float | None:
        """The wait as far as headers decide it; None if the pace does."""
        if self._remaining is None or self._are_headers_wrong or self.ceiling < math.inf:
            return None
        if self.is_limited and self._window_seconds <= _SHORT_WINDOW:
            return None
        remaining = self._remaining
        if now >= self._resets_at:
            if not self.is_limited:
                return None
            remaining = 1  # finds out how many there are now
        if remaining > self.in_flight:
            return 0.0
        if self.in_flight:
            return math.inf
        if not self.is_limited:
            self._claim_tested_at = now
            return 0.0
        return self._resets_at - now

    # Answers

    def accept(self, sent_at: float, now: float, told: LimitHeaders | None = None) -> bool:
        """Count an answer to a request that the limiter let pass. Returns whether the pace was learned by it."""
        self._arrive(sent_at, now)
        self.accepted += 1
        self._measured += 1
        self._last_accepted_at = now
        if told is not None:
            self._note_headers(sent_at, now, told)
        if sent_at == self._claim_tested_at and told is not None and told.remaining == 0:
            self._are_headers_wrong = True  # they said that none remained, and it was accepted
        if self._probe_at is not None and sent_at > self._stalled_at:
            self._resume(now)
            return True
        if self._is_binding:
            self._grow(now)
        return False

    def refuse(self, sent_at: float, now: float, told: LimitHeaders | None, retry_after: float | None) -> None:
        """Count a refusal (429), and stop sending until the API accepts again."""
        self._arrive(sent_at, now)
        self.refused += 1
        self.is_limited = True
        if told is not None:
            self._note_headers(sent_at, now, told)
        asked = retry_after if retry_after is not None and retry_after > 0 else None
        is_first = self._probe_at is None
        if is_first:
            self._stalled_at, self._refused_before = now, self.refused - 1
            self._probe_step = _FIRST_PROBE
            if self.rate < math.inf:
                self._probe_step = max(_FIRST_PROBE, 1 / self.rate, _STALL_SHARE * self._longest_stall)
        elif sent_at > self._stalled_at:
            stalled = now - self._stalled_at
            step = min(_LONGEST_PROBE, _PROBE_SHARE * stalled) if self.rate == math.inf else _LATER_SHARE * stalled
            self._probe_step = max(self._probe_step, step)
        elif asked is None:
            return  # sent before the stall began: nothing new
        self._is_wait_told = asked is not None
        if asked is not None:
            self.hold(now, asked)
        # What the API asks for is enough the first time. If that was too soon, it is no longer relied on.
        self._probe_at = max(self._held_until, now + (0.0 if asked and is_first else self._probe_step))

    def end(self, sent_at: float, now: float) -> None:
        """Count a request that got no answer."""
        self._arrive(sent_at, now)

    def hold(self, now: float, seconds: float) -> None:
        """Send nothing for so long, because the API asks for it. A wait that no request survives is not begun."""
        if seconds <= self.longest_wait:
            self._held_until = max(self._held_until, now + seconds)

    def seconds_refused(self, now: float) -> float:
        """For how long the API has refused every request; 0 if it accepts them."""
        if self._probe_at is None:
            return 0.0
        return now - max(self._stalled_at, self._last_accepted_at or self._stalled_at)

    def _arrive(self, sent_at: float, now: float) -> None:
        """A request is no longer under way."""
        self.in_flight -= 1
        if sent_at == self._probe_sent_at:
            self._probe_sent_at = None
        if not self.in_flight and not self._is_waited_for:
            self._idle_since = now

    def _note_headers(self, sent_at: float, now: float, told: LimitHeaders) -> None:
        """Take note of headers. Answers may overtake each other: of those under way together, the strictest counts."""
        is_newer = sent_at >= self._told_at
        remaining, reset = told.remaining, told.reset_seconds
        if remaining is None or reset is None or reset > self.longest_wait:
            remaining = None
        elif not is_newer and self._remaining is not None:
            remaining = min(remaining, self._remaining)
        before, after = self.told and self.told.requests_per_second, told.requests_per_second
        if before and after and self.rate < math.inf and is_newer:
            # What another client leaves of it may be less.
            self.rate = min(self.rate * max(1.0, after / before), after * _BELOW, self.ceiling)
        self.told, self._remaining = told, remaining
        if is_newer:
            self._told_at = now
        if reset is not None and remaining is not None:
            self._resets_at = now + reset if is_newer else max(self._resets_at, now + reset)
            self._window_seconds = max(self._window_seconds, reset)

    # The pace

    def _resume(self, now: float) -> None:
        """The API accepts again: take the pace at which it has accepted since the last time it did so."""
        stall = now - self._stalled_at
        elapsed = now - (self._origin if self._origin is not None else now)
        self._longest_stall = max(self._longest_stall, stall)
        before, count = self.rate, max(1, self._measured)
        if before == math.inf and self.told is not None and self.told.requests_per_second:
            self.rate = self.told.requests_per_second * _BELOW
            self._origin, self._measured = now, 0
        elif before == math.inf or self._measured >= _FEWEST_MEASURED:
            # A wait in whole seconds is up to a second longer than the limiter needed.
            surplus = min(_ROUNDING_SECONDS, stall / 2) if self._is_wait_told else 0.0
            measured = self._measured / max(elapsed - surplus, stall, _SHORTEST_SECONDS)
            if before < math.inf and stall < _MOSTLY_ACCEPTED * elapsed:
                # Mostly accepted, so it measures our own pace while that grew. The limit is close to what was refused.
                measured = max(measured, before * _CUT)
            self.rate = min(measured, before) * _BELOW
            self._origin, self._measured = now, 0
        else:
            self.rate = before * _CUT
        self.rate = max(min(self.rate, self.ceiling), 1 / self.longest_wait)
        self._refused_rate = min(before, self.rate * (1 + _DOUBT / math.sqrt(count)))
        self._next_at = now + 1 / self.rate
        requests = _REQUESTS_FIRST_CYCLE
        if before < math.inf and stall < elapsed / 2:
            refusals = self.refused - self._refused_before
            requests = max(
                _REQUESTS_PER_CYCLE * min(refusals, _MOST_REFUSALS),
                _WAITS_PER_CYCLE * min(stall, _LONGEST_STALL) * self.rate,
            )
        self._growth, self._requests_above = _GROWTH_PER_CYCLE / requests, 0
        self._probe_at, self._is_binding = None, False

    def _grow(self, now: float) -> None:
        """Go a little faster: the last request waited for the pace, and was accepted."""
        growth = self._growth
        if self.rate > self._refused_rate * _CHANGED:
            if not self._requests_above:
                self._crossed_at, self._crossed_rate = now, self.rate
            self._requests_above += 1
            growth = min(_FASTEST_GROWTH, growth * 2 ** min(50.0, self._requests_above / _REQUESTS_PER_DOUBLING))
        else:
            growth = min(_FASTEST_GROWTH, growth * max(1.0, (self._refused_rate / self.rate - 1) / _NEAR))
        top = self.ceiling
        if self.told is not None and self.told.requests_per_second:
            top = min(top, self.told.requests_per_second * _BELOW)
        if self._requests_above:
            # A limiter may take as long to object as it took to let requests pass again.
            top = min(top, self._crossed_rate * (1 + _RISE * (now - self._crossed_at) / self._longest_stall))
        self.rate = min(self.rate * (1 + growth), max(top, min(self.rate, self.ceiling)))
        self._is_binding = False
