"""`python -m benchmarks.pace`: the extractor against APIs that limit the rate of requests.

Whole `python -m extract` processes, one per case and some at the same time, since they mostly wait. Each has a
simulated API of its own with a limiter, which counts what it refuses. The time from its first request to its last is
compared with what they take at the limit. Fails if that is over 10 % longer, or if over 5 % of the requests are refused
after the first minute.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.extract.measure import ROOT, BenchmarkError, environment, run
from simulator import Options, Tenant, serve
from simulator.app import DEFAULT_API_KEY
from simulator.limiter import Limit, Limiter

_MONTH = "2025-06"
_LATENCY_MS = 50
_MOST_TIME, _MOST_REFUSED = 1.10, 0.05
# Requests besides those for quotas: windows of sessions, sandboxes, the vendor's figures.
_OTHERS = 104
_MINUTES = {60: 5, 600: 3}


@dataclass(frozen=True)
class Case:
    """A limiter, and how it is shown."""

    name: str
    limit: Limit

    @property
    def users(self) -> int:
        """So many users that the run lasts for some minutes."""
        return self.limit.requests * _MINUTES[self.limit.requests] - _OTHERS


def _cases(requests: int) -> list[Case]:
    """The limiters of one rate."""
    return [
        Case("window, Retry-After", Limit(requests=requests)),
        Case("window, no hint", Limit(requests=requests, retry_after="none")),
        Case("window, RateLimit headers", Limit(requests=requests, headers="policy")),
        Case("bucket, Retry-After", Limit(requests=requests, kind="bucket", burst=requests // 10)),
        Case("bucket, no hint", Limit(requests=requests, kind="bucket", burst=requests // 10, retry_after="none")),
    ]


@dataclass(frozen=True)
class Result:
    """What one run took."""

    seconds: float
    """Of the whole process."""
    limiter: Limiter

    @property
    def requests(self) -> int:
        """How many were accepted."""
        return len(self.limiter.accepted_at)

    @property
    def sending_seconds(self) -> float:
        """From the first request to the last: without the start of Python and the warehouse."""
        return self.limiter.accepted_at[-1] - self.limiter.accepted_at[0]

    @property
    def ratio(self) -> float:
        """The time of sending, relative to what the limit allows."""
        return self.sending_seconds / self.limiter.seconds_allowed(self.requests)

    @property
    def is_kept(self) -> bool:
        """Whether both promises are kept."""
        return self.ratio <= _MOST_TIME and self.limiter.refused_share() <= _MOST_REFUSED


def measure(case: Case) -> Result:
    """Run the extractor once. Raises `BenchmarkError`."""
    rows = [
        f'{{"id":"s{n}","computer_id":"c{n}","external_user_id":"user-{n:05d}","credit_cost":1,'
        f'"started_at":"2025-06-{n % 28 + 1:02d}T12:00:00Z","ended_at":"2025-06-{n % 28 + 1:02d}T13:00:00Z"}}'
        for n in range(case.users)
    ]
    options = Options(rate_limit=case.limit, latency_ms=_LATENCY_MS)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, serve(Tenant.from_rows(rows), options) as server:
        asked = {
            "MIOSA_API_KEY": DEFAULT_API_KEY,
            "MIOSA_BASE_URL": server.base_url,
            "WAREHOUSE_PATH": str(Path(folder) / "usage.duckdb"),
        }
        cost, _ = run([sys.executable, "-m", "extract", "--from", _MONTH], environment(**asked))
        if server.limiter is None:
            raise BenchmarkError("the simulator limits nothing")
        return Result(cost.wall_seconds, server.limiter)


def table(cases: Sequence[Case], results: Sequence[Result]) -> str:
    """The results as Markdown."""
    lines = [
        "| limit | requests | process | sending | at the limit | ratio | refused in the first minute | later | |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for case, result in zip(cases, results, strict=True):
        began = result.limiter.accepted_at[0]
        early = sum(moment < began + 60 for moment in result.limiter.refused_at)
        later = len(result.limiter.refused_at) - early
        seconds = (result.seconds, result.sending_seconds, result.limiter.seconds_allowed(result.requests))
        lines.append(
            f"| {case.limit.requests} per minute, {case.name} | {result.requests:,} "
            f"| {' | '.join(f'{each:.0f} s' for each in seconds)} | {result.ratio:.2f} | {early} "
            f"| {later} ({result.limiter.refused_share():.1%}) | {'kept' if result.is_kept else 'MISSED'} |"
        )
    return "\n".join(lines) + "\n"


_HEAD = """# The extractor against a limit

Written by `make bench-pace`: one run of `python -m extract` per line, some at the same time, each against a
simulated API of its own with {latency} ms latency. {cores} cores, {system}, Python {python}.

*Sending*: from the first request to the last, so without the start of Python and the warehouse, which take longer the
busier the machine is. *At the limit*: the requests of the run divided by the rate. *Ratio*: of these two; one below 1
comes from what a window or a bucket holds at the start. Promised are a ratio of at most {most_time:.2f}, and at most
{most_refused:.0%} refused after the first minute.

"""


def main() -> None:
    """Run the benchmark. Exit status 1: a promise is not kept, or nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pace", description=__doc__)
    parser.add_argument("--rate", type=int, action="append", choices=sorted(_MINUTES), help="only this rate")
    parser.add_argument("--together", type=int, default=5, help="runs at the same time (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/pace.md")
    given = parser.parse_args()
    cases = [case for rate in given.rate or sorted(_MINUTES) for case in _cases(rate)]
    try:
        with ThreadPoolExecutor(given.together) as pool:
            results = list(pool.map(measure, cases))
    except BenchmarkError as error:
        sys.exit(f"bench: {error}")
    shown = table(cases, results)
    sys.stdout.write(shown)
    head = _HEAD.format(
        latency=_LATENCY_MS,
        cores=os.cpu_count(),
        system=platform.system(),
        python=platform.python_version(),
        most_time=_MOST_TIME,
        most_refused=_MOST_REFUSED,
    )
    given.output.write_text(head + shown, "utf-8")
    sys.exit(any(not result.is_kept for result in results))


if __name__ == "__main__":
    main()
