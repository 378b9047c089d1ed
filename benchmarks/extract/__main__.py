"""`python -m benchmarks.extract`: run every case, write the table, and fail if a promise is not kept."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.extract import contenders
from benchmarks.extract.contenders import Contender, Setting
from benchmarks.extract.measure import ROOT, BenchmarkError, Cost, Server, own_peak_mib, serve
from benchmarks.extract.promises import DISTANT, LARGE, PROMISES, SMALL, WIDE, Promise, Result
from benchmarks.extract.sessions import Sessions

# A month long past, so that what the extractor asks for does not depend on the day of the benchmark.
_START, _END = datetime(2025, 6, 1), datetime(2025, 7, 1)
_USERS = 100
_RUNS = 3
_CONTENDERS: dict[str, Contender] = {
    "bare": contenders.bare,
    "sequential": contenders.sequential,
    "extract": contenders.extract,
    "dlt": contenders.dlt,
}
# What needs no run without the clock: it asks for what the extractor asked for.
_REPLAYED = ("bare", "sequential")


@dataclass(frozen=True)
class Case:
    """One server, and who is timed on it."""

    name: str
    sessions: int
    contenders: tuple[str, ...]
    latency_ms: float = 0.0
    extract_options: tuple[str, ...] = ()
    most_runs: int = 100

    def __str__(self) -> str:
        """The case as the table names it."""
        latency = f", {self.latency_ms:g} ms latency" if self.latency_ms else ""
        return f"{self.sessions:,} sessions{latency}{', in one window' if self.extract_options else ''}"

    def quick(self) -> Case:
        """The same in seconds: it shows that everything works, and nothing of how fast."""
        return replace(self, sessions=self.sessions // 100, latency_ms=min(self.latency_ms, 5), most_runs=1)


CASES = (
    Case(SMALL, 50_000, ("bare", "extract", "dlt")),
    Case(LARGE, 500_000, ("bare", "extract")),
    Case(DISTANT, 50_000, ("sequential", "extract"), latency_ms=50),
    # Wide enough for the month and all that is asked for before it; peaks vary little, so once will do.
    Case(WIDE, 1_000_000, ("extract",), extract_options=("--window-days", "366"), most_runs=1),
)


def measure(case: Case, runs: int, dlt_python: Path) -> Result:
    """Run a case's contenders in turn, `runs` times, after a round that is not timed."""
    sessions = Sessions(case.sessions, _USERS, _START, _END)
    costs: dict[str, list[Cost]] = {name: [] for name in case.contenders}
    requests: dict[str, int] = {}
    with serve(sessions, case.latency_ms) as server:
        _, targets = _once("extract", case, Setting(server, sessions, Path(), [], case.extract_options, dlt_python))
        setting = Setting(server, sessions, Path(), targets, case.extract_options, dlt_python)
        for name in case.contenders:
            if name != "extract" and name not in _REPLAYED:
                _once(name, case, setting)
        for number in range(1, min(runs, case.most_runs) + 1):
            for name in case.contenders:
                cost, asked = _once(name, case, setting, timed=True)
                costs[name].append(cost)
                requests[name] = len(asked)
                _say(f"{case}, run {number}: {name:<10} {cost.wall_seconds:7.2f} s  {cost.peak_mib:5.0f} MiB")
    return Result(costs, requests)


def _once(name: str, case: Case, setting: Setting, *, timed: bool = False) -> tuple[Cost, list[str]]:
    """Run a contender once, in a folder of its own. Returns its cost, and what it asked."""
    server: Server = setting.server
    server.asked()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        setting.folder = Path(folder)
        cost = _CONTENDERS[name](setting)
    asked = server.asked()
    if timed and asked.late:
        raise BenchmarkError(f"{case}: {name} waited for {asked.late} answers to be rendered: run it again")
    return cost, asked.targets


def table(cases: Sequence[Case], results: dict[str, Result]) -> str:
    """The results as Markdown: what each process took."""
    lines = [
        "| case | process | wall | CPU | peak memory | requests | sessions/s |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for case in cases:
        result = results[case.name]
        for name in case.contenders:
            cost = result.median(name)
            lines.append(
                f"| {case} | {name} | {cost.wall_seconds:.2f} s | {cost.cpu_seconds:.2f} s | {cost.peak_mib:.0f} MiB "
                f"| {result.requests[name]:,} | {case.sessions / cost.wall_seconds:,.0f} |"
            )
    return "\n".join(lines) + "\n"


def verdicts(cases: Sequence[Case], results: dict[str, Result]) -> str:
    """The promises as Markdown, and whether they are kept."""
    shown = {case.name: str(case) for case in cases}
    lines = ["| promise | limit | measured | |", "|---|---|---:|---|"]
    for promise, value, is_kept in judge(results):
        name = f"{shown[promise.case]}: {promise.name}"
        lines.append(f"| {name} | {promise.said} | {value:.1f} {promise.unit} | {'kept' if is_kept else 'MISSED'} |")
    return "\n".join(lines) + "\n"


def judge(results: dict[str, Result]) -> list[tuple[Promise, float, bool]]:
    """Each promise whose contenders were run, what was measured, and whether it is kept."""
    judged = []
    for promise in PROMISES:
        try:
            value = promise.measure(results[promise.case])
        except KeyError:
            continue
        judged.append((promise, value, promise.is_kept(value)))
    return judged


_HEAD = """# The extractor, side by side

Written by `make bench-extract`: whole processes, in turn, {runs} times each (*in one window* once) after a round
without the clock. Times and peaks are medians; ratios are the median of the rounds' ratios. {cores} cores, which the
server shares; {system}, Python {python}, {versions}.

- *bare*: fetches the session pages that the extractor fetches, one after the other, and drops them; no other requests.
- *sequential*: the same with everything that the extractor fetches: quotas of {users} users, sandboxes and months too.
- *extract*: `python -m extract` into a new warehouse, with all that it does, from its start-up and the schema on.
- *dlt*: its REST source into DuckDB, with the same things to load (`dlt_load.py`): the month's sessions, sandboxes,
  quotas of users, rollup and summary; resources and quotas in parallel, its defaults otherwise. It asks for no days
  before and after the month, and proves and compares nothing.

A run counts only if its file holds every session once. No peak below {floor:.0f} MiB, the benchmark's own, can be seen.

"""


def _head(runs: int) -> str:
    """What the table was measured on, and what its words mean."""
    return _HEAD.format(
        runs=runs,
        cores=os.cpu_count(),
        system=platform.system(),
        python=platform.python_version(),
        versions=", ".join(f"{name} {version(name)}" for name in ("duckdb", "httpx", "msgspec", "uvicorn")),
        users=_USERS,
        floor=own_peak_mib(),
    )


def _say(text: str) -> None:
    """Tell of progress on standard error."""
    sys.stderr.write(text + "\n")


def main() -> None:
    """Run the benchmark. Exit status 1: a promise is not kept, or nothing could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extract", description=__doc__)
    parser.add_argument("--runs", type=int, default=_RUNS, help="timed runs of each process (default: %(default)s)")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="only this case")
    parser.add_argument("--no-dlt", action="store_true", help="leave dlt out")
    parser.add_argument("--dlt-python", type=Path, default=ROOT / "benchmarks/.dlt/bin/python")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/extract.md")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no dlt, nothing judged or written")
    given = parser.parse_args()
    cases = [case for case in CASES if not given.case or case.name in given.case]
    if given.quick:
        cases = [case.quick() for case in cases]
    if given.no_dlt or given.quick:
        cases = [_without(case, "dlt") for case in cases]
    elif any("dlt" in case.contenders for case in cases) and not given.dlt_python.exists():
        sys.exit(f"bench: there is no {given.dlt_python}: use make bench-extract, or --no-dlt")
    try:
        results = {case.name: measure(case, max(1, given.runs), given.dlt_python) for case in cases}
    except BenchmarkError as error:
        sys.exit(f"bench: {error}")
    shown = table(cases, results)
    if given.quick:
        sys.stdout.write(shown)
        return
    shown += "\n" + verdicts(cases, results)
    sys.stdout.write(shown)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(_head(max(1, given.runs)) + shown, "utf-8")
    sys.exit(any(not is_kept for _, _, is_kept in judge(results)))


def _without(case: Case, name: str) -> Case:
    """A case with one contender fewer."""
    return replace(case, contenders=tuple(each for each in case.contenders if each != name))


if __name__ == "__main__":
    main()
