"""Who is timed: each as a whole process, given a server and an empty folder, and checked for what it left there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.extract.measure import BenchmarkError, Cost, Server, environment, run
from benchmarks.extract.server import API
from benchmarks.extract.sessions import Sessions

SESSIONS_PATH = API + "/usage/sessions"


@dataclass
class Setting:
    """What a run is given."""

    server: Server
    sessions: Sessions
    folder: Path
    """Its own, and empty."""
    targets: list[str] = field(default_factory=list)
    """What the extractor asked in its untimed run; a loop asks for the same."""
    extract_options: tuple[str, ...] = ()
    dlt_python: Path = Path()


Contender = Callable[[Setting], Cost]


def bare(setting: Setting) -> Cost:
    """Fetch the session pages that the extractor fetches, one after the other, and drop them."""
    return _loop(setting, [target for target in setting.targets if target.startswith(SESSIONS_PATH)])


def sequential(setting: Setting) -> Cost:
    """Fetch everything that the extractor fetches, one after the other, and drop it."""
    return _loop(setting, setting.targets)


def extract(setting: Setting) -> Cost:
    """Run `python -m extract` into a new warehouse: start-up, schema, sessions, sandboxes, quotas, months."""
    warehouse = setting.folder / "bench.duckdb"
    command = [sys.executable, "-m", "extract", "--from", f"{setting.sessions.start:%Y-%m}", *setting.extract_options]
    command.append("--no-account")  # the other contenders do not read it either
    given = environment(
        MIOSA_API_KEY="msk_bench", MIOSA_BASE_URL=setting.server.base_url, WAREHOUSE_PATH=str(warehouse)
    )
    cost, _ = run(command, given)
    _check(setting, warehouse, "raw.usage_sessions", "row_key")
    return cost


def dlt(setting: Setting) -> Cost:
    """Run dlt's REST source into a new DuckDB file, with what the extractor loads, in an environment of its own."""
    file = setting.folder / "dlt.duckdb"
    sessions, folder = setting.sessions, setting.folder / "dlt"
    command = [str(setting.dlt_python), str(Path(__file__).with_name("dlt_load.py")), setting.server.base_url]
    command += [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (sessions.start, sessions.end)]
    command += [str(file), str(folder)]
    cost, _ = run(command, environment(DLT_DATA_DIR=str(folder), RUNTIME__DLTHUB_TELEMETRY="false"))
    _check(setting, file, "raw.usage_sessions", "id")
    return cost


def _loop(setting: Setting, targets: list[str]) -> Cost:
    """Fetch these targets with the bare loop."""
    file = setting.folder / "targets.txt"
    file.write_text("".join(target + "\n" for target in targets), "utf-8")
    cost, _ = run(
        [sys.executable, "-m", "benchmarks.extract.bare", setting.server.origin, str(file)],
        environment(),
    )
    return cost


def _check(setting: Setting, file: Path, table: str, column: str) -> None:
    """Refuse a run that lost or repeated rows: it would have been faster, or slower, for the wrong reason."""
    _, said = run([sys.executable, "-m", "benchmarks.extract.count", str(file), table, column], environment())
    rows, distinct = map(int, said.split())
    if (rows, distinct) != (setting.sessions.count, setting.sessions.count):
        raise BenchmarkError(
            f"{file.name} holds {rows} rows and {distinct} different ids, not {setting.sessions.count}: "
            "nothing was measured"
        )
