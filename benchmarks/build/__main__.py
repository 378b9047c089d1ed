"""`python -m benchmarks.build`: the build at size.

Beside one hand-written statement; what a month costs as history grows; memory; how fast finance people get their
answers. Writes the table and the pictures, and fails if a promise is not kept.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import duckdb

from benchmarks.build.finance import QUERIES
from benchmarks.extract.measure import ROOT, BenchmarkError, Cost, environment, run

RESULTS = ROOT / "benchmarks" / "results"
# Who makes the figure alone, how the table calls them, and what is promised against them.
PEERS = {
    "duckdb": ("the figure alone, DuckDB as first written", "the hand-written statement"),
    "tuned": ("the figure alone, DuckDB as tuned as we could", "the same statement, tuned"),
    "polars": ("the figure alone, Polars", None),
    "chdb": ("the figure alone, ClickHouse", None),
}
ON_THE_WAREHOUSE = ("duckdb", "tuned")
MONTH = 1_000_000
CORRECTIONS = 10_000
REPEATS = 20


@dataclass
class Warehouse:
    """A warehouse of generated months, and what its builds took."""

    folder: Path
    sessions_a_month: int
    months: int = 0

    def __post_init__(self) -> None:
        """Make it, empty."""
        self.folder.mkdir()
        self.path = self.folder / "usage.duckdb"

    def add_months(self, months: int, corrections: int = 0) -> None:
        """Land more months, from a process of its own: whatever is started here would begin with its peak of memory."""
        numbers = (self.sessions_a_month, self.months, months, corrections)
        run([sys.executable, "-m", "benchmarks.build.generate", str(self.path), *map(str, numbers)], environment())
        self.months += months

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return self.sessions_a_month * self.months

    def build(self, memory: str = "80%") -> Cost:
        """`dbt build`, models and data tests, as after a monthly extract."""
        target = self.folder / "target"
        if not target.exists():
            # dbt reads the project anew where its files or the warehouse's name changed: not what a month costs.
            self._dbt("parse", memory)
        cost = self._dbt("build", memory, "--exclude-resource-type", "unit_test")
        if self.path.with_name(f"{self.path.name}.wal").exists():
            raise BenchmarkError("the build left its log beside the file: folding it in failed")
        return cost

    def _dbt(self, command: str, memory: str, *arguments: str) -> Cost:
        cost, _ = run(
            [
                *(str(Path(sys.executable).with_name("dbt")), "--no-use-colors", command, *arguments),
                *("--target-path", str(self.folder / "target"), "--log-path", str(self.folder / "logs")),
            ],
            environment(
                WAREHOUSE_PATH=str(self.path),
                SEEDS_PATH="seeds",
                DUCKDB_MEMORY_LIMIT=memory,
                DBT_SEND_ANONYMOUS_USAGE_STATS="false",
            ),
        )
        return cost

    @contextmanager
    def spill(self) -> Iterator[list[int]]:
        """Bytes on disk beside the warehouse while the context lasts: one figure, the most that there were at once."""
        place, most, done = self.path.with_name(f"{self.path.name}.tmp"), [0], threading.Event()

        def look() -> None:
            while not done.wait(0.5):
                # A file may be gone between its name and its size.
                with suppress(OSError):
                    most[0] = max(most[0], sum(file.stat().st_size for file in place.iterdir()))

        looking = threading.Thread(target=look)
        looking.start()
        try:
            yield most
        finally:
            done.set()
            looking.join()

    def figure(self) -> tuple[int, int]:
        """Rows and nano-credits of the mart that everything adds up to."""
        with duckdb.connect(str(self.path), read_only=True) as connection:
            rows, nano = connection.execute(
                "select count(*), (sum(credits) * 1000000000)::hugeint from marts.fct_user_period_credits"
            ).fetchall()[0]
            return int(rows), int(nano)

    def export(self) -> Path:
        """What the peers that read Parquet read."""
        folder = self.folder / "parquet"
        folder.mkdir()
        with duckdb.connect(str(self.path), read_only=True) as connection:
            for table in ("usage_sessions", "sandboxes"):
                columns = "load_id, row_number, row_key, external_user_id, payload"
                connection.execute(f"copy (select {columns} from raw.{table}) to '{folder / table}.parquet'")
        return folder


@dataclass
class Report:
    """Rows of the table, promises, and the points of the pictures."""

    rows: list[str] = field(default_factory=list)
    promises: list[tuple[str, str, str, bool]] = field(default_factory=list)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)

    def add(self, what: str, sessions: int, cost: Cost, note: str = "") -> None:
        """A row of the table."""
        times = f"{cost.wall_seconds:,.1f} s | {cost.cpu_seconds:,.1f} s"
        row = f"| {what} | {sessions:,} | {times} | {cost.peak_mib:,.0f} MiB | {note} |"
        self.rows.append(row)
        print(row, flush=True)

    def point(self, curve: str, months: int, cost: Cost) -> None:
        """A point of a picture."""
        self.curves.setdefault(curve, []).append((months, cost.wall_seconds))

    def promise(self, what: str, limit: str, measured: str, kept: bool) -> None:
        """What was promised, and whether it held."""
        self.promises.append((what, limit, measured, kept))
        print(f"{what}: {limit}, measured {measured}: {'held' if kept else 'MISSED'}", flush=True)


def beside_peers(warehouse: Warehouse, full: Cost, peers_python: Path, report: Report) -> None:
    """The full build against one statement that makes the figure alone."""
    parquet = warehouse.export()
    expected = warehouse.figure()
    for peer, (what, promised) in PEERS.items():
        python = sys.executable if peer in ON_THE_WAREHOUSE else str(peers_python)
        source = str(warehouse.path if peer in ON_THE_WAREHOUSE else parquet)
        command = [python, str(Path(__file__).with_name("peers.py")), peer, source]
        cost, said = min((run(command, environment()) for _ in range(2)), key=lambda ran: ran[0].wall_seconds)
        rows, nano = map(int, said.split()[-2:])
        if (rows, nano) != expected:
            raise BenchmarkError(f"{peer} says {rows} rows and {nano} nano-credits, the mart {expected}")
        ratio = full.wall_seconds / cost.wall_seconds
        report.add(what, warehouse.sessions, cost, f"the build takes {ratio:.1f} times that")
        if promised:
            report.promise(f"full build, against {promised}", "at most 8 times", f"{ratio:.1f} times", ratio <= 8)
    shutil.rmtree(parquet)


def ask_finance(warehouse: Warehouse, report: Report) -> None:
    """p50 and p95 of each of the ten statements, on a connection that stays open."""
    choose = random.Random(1)
    everything: list[float] = []
    with duckdb.connect(str(warehouse.path), read_only=True) as connection:
        users = [
            row[0]
            for row in connection.execute("select external_user_id from marts.dim_users using sample 500").fetchall()
        ]
        periods = [
            row[0] for row in connection.execute("select billing_period from marts.dim_billing_periods").fetchall()
        ]
        for name, sql in QUERIES.items():
            times = []
            for number in range(REPEATS + 1):
                statement = sql.format(user=choose.choice(users), period=choose.choice(periods))
                started = time.perf_counter()
                connection.execute(statement).fetchall()
                if number:
                    times.append((time.perf_counter() - started) * 1000)
            everything += times
            report.queries.append(
                f"| {name} | {statistics.median(times):.1f} ms | {sorted(times)[int(REPEATS * 0.95) - 1]:.1f} ms |"
            )
            print(report.queries[-1], flush=True)
    p95 = sorted(everything)[int(len(everything) * 0.95) - 1]
    report.promise(
        f"finance queries at {warehouse.sessions:,} sessions, p95 of all", "under 100 ms", f"{p95:.0f} ms", p95 < 100
    )


def measure(months: Sequence[int], sessions: int, work: Path, peers_python: Path, report: Report) -> None:
    """Full builds at each size, a month more on some of them; the one nearest to ten million sessions has peers."""
    monthly: dict[int, Cost] = {}
    largest = max(months)
    beside_ten_millions = min(months, key=lambda count: abs(count * sessions - 10 * MONTH))
    for count in sorted({2, *months}):
        warehouse = Warehouse(work / f"months{count}", sessions)
        warehouse.add_months(count)
        full = warehouse.build()
        report.add(
            "full build, all data tests",
            warehouse.sessions,
            full,
            f"{warehouse.path.stat().st_size / 2**20:,.0f} MiB on disk",
        )
        report.point("full build", count, full)
        if count == beside_ten_millions:
            beside_peers(warehouse, full, peers_python, report)
            ask_finance(warehouse, report)
        if count in (2, beside_ten_millions, largest):
            warehouse.add_months(1, max(1, CORRECTIONS * sessions // MONTH))
            monthly[count] = warehouse.build()
            report.add(
                f"a month more, after {count}",
                warehouse.sessions,
                monthly[count],
                "with its tests; corrections all over the past",
            )
            report.point("a month more", count, monthly[count])
        shutil.rmtree(warehouse.folder)
    if largest > 2:
        ratio = monthly[largest].wall_seconds / monthly[2].wall_seconds
        report.promise(
            f"a month after {largest}, against one after 2", "at most 2.0 times", f"{ratio:.2f} times", ratio <= 2
        )


def measure_reach(sessions: int, work: Path, report: Report) -> None:
    """One build of a hundred million, within a limit on memory."""
    warehouse = Warehouse(work / "reach", sessions // 10)
    warehouse.add_months(10)
    with warehouse.spill() as most:
        cost = warehouse.build(memory="8GB")
    report.add(
        "full build, all data tests, 8 GB for DuckDB",
        warehouse.sessions,
        cost,
        f"{warehouse.path.stat().st_size / 2**20:,.0f} MiB on disk, and up to {most[0] / 2**20:,.0f} MiB for a while",
    )
    report.promise(
        f"{sessions:,} sessions", "within 12 GiB", f"{cost.peak_mib / 1024:.1f} GiB", cost.peak_mib <= 12 * 1024
    )
    shutil.rmtree(warehouse.folder)


def picture(curve: Sequence[tuple[int, float]], title: str, path: Path) -> None:
    """A curve over months as SVG: seconds, from zero."""
    width, height, left, bottom = 560, 260, 60, 40
    right, top = max(point[0] for point in curve), max(point[1] for point in curve) * 1.1
    placed = [
        (
            left + (width - left - 20) * months / right,
            height - bottom - (height - bottom - 30) * seconds / top,
            months,
            seconds,
        )
        for months, seconds in sorted(curve)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in placed)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1f5fa8"/>'
        f'<text x="{x:.1f}" y="{y - 9:.1f}" text-anchor="middle">{seconds:,.0f} s</text>'
        f'<text x="{x:.1f}" y="{height - bottom + 18}" text-anchor="middle">{months}</text>'
        for x, y, months, seconds in placed
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif"'
        f' font-size="12">'
        f'<rect width="{width}" height="{height}" fill="white"/><text x="{left}" y="18" font-size="14">{title}</text>'
        f'<path d="M{left} 30V{height - bottom}H{width - 20}" stroke="#444" fill="none"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="2"/>{dots}'
        f'<text x="{width - 20}" y="{height - 6}" text-anchor="end">months of history</text></svg>\n',
        encoding="utf-8",
    )


def write(report: Report, sessions: int, results: Path) -> None:
    """The table and the pictures."""
    kept = "\n".join(
        f"| {what} | {limit} | {measured} | {'held' if held else 'MISSED'} |"
        for what, limit, measured, held in report.promises
    )
    newline = "\n"
    pictures = ""
    for name, curve in report.curves.items():
        file = f"build_{re.sub('[^a-z]+', '_', name)}.svg"
        picture(curve, f"{name}, months of {sessions:,} sessions", results / file)
        pictures += f"\n![{name}]({file})\n"
    (results / "build.md").write_text(
        f"""# The build at size

Written by `make bench-build`: whole processes of `dbt build`, models and all data tests, on months of {sessions:,}
sessions that were made straight into raw, by a project that dbt had read before; beside them, the figure by user and
period alone by one hand-written statement each (`benchmarks/build/peers.py`), the better of two runs, which must agree
to the nano-credit. DuckDB does it twice: as one would write it first (rank versions, read times with their zone, split
by day), and as fast as we could get it.
{os.cpu_count()} cores;
{platform.system()}, Python {platform.python_version()}, duckdb {version("duckdb")}, dbt-core {version("dbt-core")}.

| what | sessions | wall | CPU | peak memory | |
|---|---:|---:|---:|---:|---|
{newline.join(report.rows)}

| ten finance queries | p50 | p95 |
|---|---:|---:|
{newline.join(report.queries)}

| promise | limit | measured | |
|---|---|---:|---|
{kept}
{pictures}""",
        encoding="utf-8",
    )


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.build", description=__doc__)
    parser.add_argument("--sessions", type=int, default=MONTH, help="sessions a month (default: %(default)s)")
    parser.add_argument("--months", type=int, nargs="+", default=[1, 10, 36], help="sizes (default: 1 10 36)")
    parser.add_argument(
        "--reach",
        type=int,
        default=100 * MONTH,
        help="sessions of the one large build, 0 for none (default: %(default)s)",
    )
    parser.add_argument(
        "--peers-python",
        type=Path,
        default=ROOT / "benchmarks/.peers/bin/python",
        help="an environment with polars and chdb",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the table goes")
    options = parser.parse_args()
    report = Report()
    options.results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-build-") as work:
        try:
            measure(options.months, options.sessions, Path(work), options.peers_python, report)
            if options.reach:
                measure_reach(options.reach, Path(work), report)
        except BenchmarkError as error:
            print(f"bench-build: {error}", file=sys.stderr)
            return 1
        finally:
            if report.rows:
                write(report, options.sessions, options.results)
    return 0 if all(held for *_, held in report.promises) else 1


if __name__ == "__main__":
    sys.exit(main())
