"""Waiting for a file that another process holds, and saying which one: for the extractor, `publish` and dbt alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import duckdb
import tenacity

Opened = TypeVar("Opened")

_POLL_SECONDS = 0.25
# Most files are free again sooner, and nobody has to be told.
_SILENT_SECONDS = 1.0


def is_held(error: BaseException | None) -> bool:
    """Whether an error of DuckDB's says that another process holds the file."""
    return isinstance(error, duckdb.Error) and "Could not set lock" in str(error)


def holder(error: BaseException | None) -> str:
    """Who holds the file, by its process id and its program where DuckDB could find them out.

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


def open_when_free(connect: Callable[[], Opened], path: Path, seconds: float, tell: Callable[[str], object]) -> Opened:
    """Open a file, waiting so many seconds for another process that holds it. A wait of over a second is told of.

    Raises what `connect` raises, the last time.
    """
    has_told = False

    def before_sleep(state: tenacity.RetryCallState) -> None:
        nonlocal has_told
        if not has_told and (state.seconds_since_start or 0) >= _SILENT_SECONDS:
            has_told = True
            error = state.outcome.exception() if state.outcome else None
            tell(f"{path} is held by {holder(error)}: waiting up to {seconds:g} s for it")

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(_POLL_SECONDS),
        retry=tenacity.retry_if_exception(is_held),
        before_sleep=before_sleep,
        reraise=True,
    )
    return retrying(connect)
