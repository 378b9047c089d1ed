"""Making the warehouse's file and tidying it up, so that no kill leaves a file that cannot be opened.

DuckDB makes a file in several writes, and folds the write-ahead log into it (a checkpoint) by rewriting, in place,
blocks that the file's valid header refers to. A process that is killed in the middle of either leaves a file that
nothing opens again. So a new file is made under another name and renamed, and the extractor itself never checkpoints:
what it lands stands in the log, which a kill cannot harm, and a process of its own, which outlives a kill of this one,
folds the log in when the run is over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import duckdb
import tenacity

from core.errors import WarehouseError

NEVER_CHECKPOINT = {"checkpoint_threshold": "1TB", "auto_checkpoint_skip_wal_threshold": str(1 << 60)}
"""Settings of a connection that only ever appends to the log; with `pragma disable_checkpoint_on_shutdown`."""

# Waits for a word, so that its start costs the run nothing; nor does what DuckDB does but once, with a file of no name.
# Without a word, this process was killed: nothing is done. It leaves at once, because somebody waits for it.
# What it needs to read a log with deletions is a quarter of a MiB for each group of 122,880 rows that they fall in: it
# may take what there is, since running out in the middle would be like a kill there. A few groups of rows with gaps are
# put together each time, not up to a hundred: that took five times as long as all the rest.
_FOLD = """
import os, sys, duckdb
duckdb.connect().execute("create table warm as select 1; checkpoint")
if sys.stdin.readline():
    limits = {"memory_limit": sys.argv[2], "threads": "2", "max_vacuum_tasks": "4"}
    with duckdb.connect(sys.argv[1], config=limits) as file:
        file.execute("checkpoint")
    os._exit(0)
"""
_FOLD_SECONDS = 600


def create(path: Path, lock_seconds: float = 30.0) -> None:
    """Make an empty database, whole or not at all, unless the file is there. Raises `WarehouseError`.

    Another process that makes a file in the same folder is waited for, but no longer than `lock_seconds`.
    """
    if path.exists():
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        _lock(folder, path, lock_seconds)
        if path.exists():
            return
        if path.is_symlink():  # of a disk that is not there, perhaps, which holds the warehouse
            raise WarehouseError(
                f"{path} is a link to {path.readlink()}, which is not there: bring that file back, or remove the link"
            )
        log = path.with_name(f"{path.name}.wal")
        if log.exists():
            raise WarehouseError(f"{log} is there without {path.name}: bring that file back, or move the log away")
        new = path.with_name(f"{path.name}.new")
        for leftover in (new, new.with_name(f"{new.name}.wal")):
            leftover.unlink(missing_ok=True)
        duckdb.connect(str(new)).close()
        new.rename(path)
    finally:
        os.close(folder)


def _lock(folder: int, path: Path, seconds: float) -> None:
    """Be the only one to make a file in a folder. Free again when this process dies: so a leftover is nobody's."""
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(0.25),
        retry=tenacity.retry_if_exception_type(BlockingIOError),
        reraise=True,
    )
    try:
        retrying(fcntl.flock, folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise WarehouseError(
            f"{path} cannot be made: another process has locked its folder, perhaps a run that makes a file there, or "
            "`flock`: wait for it or end it, then run again"
        ) from error


class Folding:
    """A process that folds the log into the file when it is told to, and that a kill of this one does not reach."""

    def __init__(self, path: Path) -> None:
        """Start the process; it waits."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _FOLD, str(path.absolute()), os.environ.get("DUCKDB_MEMORY_LIMIT", "80%")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # It needs nothing of ours, the key least of all.
            env={name: value for name, value in os.environ.items() if not name.startswith(("MIOSA_", "EXTRACT_"))},
        )

    def fold(self) -> None:
        """Fold, and wait for it, once nothing here holds the file.

        Where it cannot (another process took the file first), the log stays, as whole as it was.
        """
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.communicate(b"fold\n", timeout=_FOLD_SECONDS)

    def __enter__(self) -> Folding:
        """Keep the process until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the process go; it ends by itself."""
        if self._process.stdin:
            self._process.stdin.close()
