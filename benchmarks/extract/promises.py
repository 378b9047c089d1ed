"""What the extractor promises, each with its limit, and how it is read from the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.extract.measure import Cost


@dataclass(frozen=True)
class Result:
    """What the timed runs of one case showed, by contender; the n-th of each were run side by side."""

    costs: Mapping[str, list[Cost]]
    requests: Mapping[str, int]

    def median(self, contender: str) -> Cost:
        """The median of each figure."""
        return Cost(*map(median, zip(*self.costs[contender], strict=True)))

    def ratio(self, slow: str, fast: str) -> float:
        """How many times as long one took as the other: the median of pairs run side by side.

        A machine that is busy for a while slows both of a pair, so the pairs' ratios move less than the times.
        """
        pairs = zip(self.costs[slow], self.costs[fast], strict=True)
        return median(left.wall_seconds / right.wall_seconds for left, right in pairs)


@dataclass(frozen=True)
class Promise:
    """A figure of one case that must not be above, or below, a limit."""

    case: str
    name: str
    measure: Callable[[Result], float]
    limit: float
    unit: str
    is_ceiling: bool

    def is_kept(self, value: float) -> bool:
        """Whether a measured value keeps the promise."""
        return value <= self.limit if self.is_ceiling else value >= self.limit

    @property
    def said(self) -> str:
        """The limit in words."""
        return f"at {'most' if self.is_ceiling else 'least'} {self.limit:g} {self.unit}"


SMALL, LARGE, DISTANT, WIDE = "small", "large", "distant", "wide"
"""The cases: few and many sessions without latency, few with it, and very many in one window."""

PROMISES = (
    Promise(
        LARGE, "time of the bare loop", lambda result: result.ratio("extract", "bare"), 2.5, "times", is_ceiling=True
    ),
    Promise(SMALL, "faster than dlt", lambda result: result.ratio("dlt", "extract"), 10, "times", is_ceiling=False),
    Promise(SMALL, "whole run", lambda result: result.median("extract").wall_seconds, 5, "s", is_ceiling=True),
    Promise(
        DISTANT,
        "faster than the same requests in turn",
        lambda result: result.ratio("sequential", "extract"),
        10,
        "times",
        is_ceiling=False,
    ),
    Promise(WIDE, "peak memory", lambda result: result.median("extract").peak_mib, 400, "MiB", is_ceiling=True),
)
