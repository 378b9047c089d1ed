"""Waiting for a database file that another process holds, and naming that process."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import tenacity

from core.errors import WarehouseError

Opened = TypeVar("Opened")

_POLL_SECONDS = 0.25
# Most files are free again sooner, so shorter waits are not announced.
_SILENT_SECONDS = 1.0


def is_held(error: BaseException | None) -> bool:
    """Whether a DuckDB error says that another process holds the file."""
    return isinstance(error, duckdb.Error) and "Could not set lock" in str(error)


def holder(error: BaseException | None) -> str:
    """Who holds the file: process id and program, if DuckDB could find them out.

    >>> holder(duckdb.IOException("Conflicting lock is held in /usr/bin/duckdb (PID 41) by user ann."))
    'process 41 (/usr/bin/duckdb)'
    >>> holder(duckdb.IOException("Conflicting lock is held in PID 41."))
    'process 41'
    >>> holder(duckdb.IOException("Could not set lock on file"))
    'another process'
    """
    text = str(error)
    number = re.search(r"\bPID (\d+)", text)
    if not number or number[1] == "0":  # a process that this one cannot see, as from within a container
        return "another process"
    program = re.search(r"held in (\S.*?) \(PID", text)
    return f"process {number[1]}" + (f" ({program[1]})" if program else "")


def open_when_free(
    connect: Callable[[], Opened], path: Path, seconds: float, announce: Callable[[str], object]
) -> Opened:
    """Open a file, waiting up to `seconds` for another process that holds it. Waits over a second are announced once.

    Raises what the last call of `connect` raises.
    """
    is_announced = False

    def before_sleep(state: tenacity.RetryCallState) -> None:
        nonlocal is_announced
        if not is_announced and (state.seconds_since_start or 0) >= _SILENT_SECONDS:
            is_announced = True
            error = state.outcome.exception() if state.outcome else None
            announce(f"{path} is held by {holder(error)}: waiting up to {seconds:g} s for it")

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(_POLL_SECONDS),
        retry=tenacity.retry_if_exception(is_held),
        before_sleep=before_sleep,
        reraise=True,
    )
    return retrying(connect)


@contextmanager
def lock_folder(path: Path, seconds: float) -> Iterator[None]:
    """Be the only process that creates a file in the folder of `path`, waiting up to `seconds` for another one.

    The lock ends with this process, so what a killed process left behind belongs to nobody. Raises `WarehouseError`.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(_POLL_SECONDS),
        retry=tenacity.retry_if_exception_type(BlockingIOError),
        reraise=True,
    )
    try:
        try:
            retrying(fcntl.flock, folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WarehouseError(
                f"{path} cannot be made: another process has locked its folder, perhaps a run that makes a file there, "
                "or `flock`: wait for it or end it, then run again"
            ) from error
        yield
    finally:
        os.close(folder)
