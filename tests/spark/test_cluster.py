"""The cluster of the tests leaves nothing behind, however what uses it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.spark_cluster import STOP_SECONDS

ROOT = Path(__file__).resolve().parents[2]

WAITING = "import os, time; print(os.environ['SPARK_FOLDER'], flush=True); time.sleep(600)"
FAILING = "import os, sys; print(os.environ['SPARK_FOLDER'], flush=True); sys.exit(7)"


def running_in(folder: str) -> list[str]:
    """Command lines of the processes that name a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in command:
            found.append(command)
    return found


def beside_a_cluster(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tools.spark_cluster", sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("program", "sent", "status"),
    [(FAILING, None, 7), (WAITING, signal.SIGINT, 130), (WAITING, signal.SIGKILL, -signal.SIGKILL)],
    ids=["failed", "Ctrl-C", "killed"],
)
def test_nothing_is_left_of_a_cluster(program: str, sent: signal.Signals | None, status: int) -> None:
    with beside_a_cluster(program) as runner:
        assert runner.stdout is not None
        folder = runner.stdout.readline().strip()
        assert folder
        if sent is not None:
            assert len(running_in(folder)) >= 4
            runner.send_signal(sent)
        assert runner.wait(4 * STOP_SECONDS) == status
    until = time.monotonic() + STOP_SECONDS
    while running_in(folder) and time.monotonic() < until:
        time.sleep(0.2)
    assert running_in(folder) == []
    if sent is not signal.SIGKILL:
        assert not Path(folder).exists()
