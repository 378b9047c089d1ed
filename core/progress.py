"""A progress bar on standard error: windows, rows and rate. Silent where that is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar:
    """One stage's bar."""

    def __init__(self, progress: Progress | None, name: str, total: int) -> None:
        """Show a stage of `total` steps; nothing without `progress`."""
        self._progress = progress
        self._task = progress.add_task(name, total=total, rows=0, rate=0.0) if progress else None
        self._rows = 0
        self._began = time.monotonic()

    def add_rows(self, rows: int) -> None:
        """Count rows that came."""
        self._rows += rows
        if self._progress and self._task is not None:
            rate = self._rows / max(time.monotonic() - self._began, 1e-3)
            self._progress.update(self._task, rows=self._rows, rate=rate)

    def advance(self) -> None:
        """Count a step that is done."""
        if self._progress and self._task is not None:
            self._progress.advance(self._task)


class Bars:
    """The bars of a run, one a stage."""

    def __init__(self, progress: Progress | None) -> None:
        """Draw on `progress`, or nowhere."""
        self._progress = progress

    def stage(self, name: str, total: int) -> Bar:
        """Begin a stage."""
        return Bar(self._progress, name, total)


@contextmanager
def bars() -> Iterator[Bars]:
    """Show bars until the block ends."""
    if not sys.stderr.isatty():
        yield Bars(None)
        return
    # Imported as late as here: it takes as long as a hundred requests, and a scheduled run has no terminal.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rows]:,} rows  {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as progress:
        yield Bars(progress)
