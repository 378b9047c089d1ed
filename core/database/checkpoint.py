"""Checkpoints that no kill can interrupt.

DuckDB's checkpoint moves the write-ahead log into the file by rewriting, in place, blocks that the file's valid header
refers to. A process killed in the middle leaves a file that nothing opens again. So neither the extractor nor dbt
checkpoints: what they write stays in the log, which a kill cannot harm. A process of its own, which outlives a kill of
this one, makes the checkpoint when the work is over.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

NEVER_CHECKPOINT = {"checkpoint_threshold": "1TB", "auto_checkpoint_skip_wal_threshold": str(1 << 60)}
"""Settings of a connection that only appends to the log; together with `KEEP_LOG_ON_CLOSE`."""

KEEP_LOG_ON_CLOSE = "pragma disable_checkpoint_on_shutdown"

# It waits for a line, so that its start, and what DuckDB does once per process, cost the run nothing. Without a line,
# the run was killed: it does nothing. It ends at once, because somebody waits for it.
# To read a log with deletions takes a quarter of a MiB for each group of 122,880 rows that they fall in. It may take
# all the memory there is, since running out in the middle would be like a kill there. Vacuuming a few groups of rows
# per checkpoint, not up to a hundred, saves five times the time of all the rest.
_CHECKPOINT = """
import os, sys, duckdb
duckdb.connect().execute("create table warm as select 1; checkpoint")
if sys.stdin.readline():
    limits = {"memory_limit": sys.argv[2], "threads": "2", "max_vacuum_tasks": "4"}
    with duckdb.connect(sys.argv[1], config=limits) as file:
        file.execute("checkpoint")
    os._exit(0)
"""
_MOST_SECONDS = 600


class CheckpointProcess:
    """A process that makes one checkpoint when asked to, and that a kill of this process does not reach."""

    def __init__(self, path: Path) -> None:
        """Start the process; it waits."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _CHECKPOINT, str(path.absolute()), os.environ.get("DUCKDB_MEMORY_LIMIT", "80%")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # It needs none of our settings, least of all the key.
            env={
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("MIOSA_", "EXTRACT_", "STRIPE_"))
            },
        )

    def checkpoint(self) -> None:
        """Make the checkpoint and wait for it. Call it when this process no longer holds the file.

        If it fails because another process took the file first, the log stays, as whole as it was.
        """
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(b"checkpoint\n", timeout=_MOST_SECONDS)

    def __enter__(self) -> CheckpointProcess:
        """Keep the process until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the process go; it ends by itself."""
        if self._process.stdin:
            self._process.stdin.close()
