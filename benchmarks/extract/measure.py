"""Whole processes and what they cost, and the server that they ask."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.extract.server import API, CONTROL
from benchmarks.extract.sessions import Sessions

ROOT = Path(__file__).resolve().parents[2]
_SAID = 2_000
_SERVER_SECONDS = 10
# The kernel counts the peak in KiB, but on macOS in bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


class BenchmarkError(Exception):
    """A measurement that cannot be made, or that would mean nothing."""


class Cost(NamedTuple):
    """What one process took."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


class Asked(NamedTuple):
    """What the server was asked in one run."""

    targets: list[str]
    late: int
    """How many answers had to be rendered first."""


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    base_url: str

    @property
    def origin(self) -> str:
        """Its address without a path."""
        return self.base_url.removesuffix(API)

    def asked(self) -> Asked:
        """What was asked since the last call."""
        with urllib.request.urlopen(self.origin + CONTROL) as answer:  # noqa: S310 - http, and our own
            said = json.load(answer)
        return Asked(said["targets"], said["late"])


def environment(**more: str) -> dict[str, str]:
    """This environment without what would change how a contender runs, and with `more`."""
    ours = ("EXTRACT_", "MIOSA_", "WAREHOUSE_", "DLT_", "RUNTIME__")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **more}


def run(command: Sequence[str], env: Mapping[str, str]) -> tuple[Cost, str]:
    """Run a command to its end. Returns its cost and its standard output; raises `BenchmarkError` if it fails.

    A process begins with the peak of the one that starts it: hence nothing large is imported here.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        began = time.perf_counter()
        # Not waited for by `subprocess`, which would not tell what the process used.
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=complained)
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            # Some tell of their errors where they tell everything.
            complained.seek(0)
            said.seek(0)
            text = (complained.read() or said.read()).decode(errors="replace")[-_SAID:].strip()
            raise BenchmarkError(f"{' '.join(command[:4])} … ended with {process.returncode}: {text}")
        said.seek(0)
        cost = Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * _PEAK_UNIT / 2**20)
        return cost, said.read().decode(errors="replace")


def own_peak_mib() -> float:
    """The peak of this process: no process it starts can show a lower one."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT / 2**20


@contextmanager
def serve(sessions: Sessions, latency_ms: float) -> Iterator[Server]:
    """Serve sessions from a process of its own while the context lasts. Raises `BenchmarkError`."""
    command = [sys.executable, "-m", "benchmarks.extract.server"]
    command += ["--sessions", str(sessions.count), "--users", str(sessions.users)]
    command += ["--start", sessions.start.isoformat(), "--end", sessions.end.isoformat()]
    command += ["--latency-ms", str(latency_ms)]
    with subprocess.Popen(
        command, env=environment(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise BenchmarkError("the benchmark's server has no pipes")
        try:
            base_url = process.stdout.readline().strip()
            if not base_url:
                raise BenchmarkError("the benchmark's server did not start")
            yield Server(base_url)
        finally:
            process.stdin.close()
            try:
                process.wait(_SERVER_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
