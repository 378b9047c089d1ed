"""Progress bars on standard error: steps, rows, rates and time left of each stage. Silent if that is not a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@dataclass
class Bar:
    """One stage's bar; it shows nothing without a `progress`."""

    progress: Progress | None
    task: TaskID | None
    rows: int = 0
    began: float = field(default_factory=time.monotonic)

    def add_rows(self, rows: int) -> None:
        """Count rows that came."""
        self.rows += rows
        if self.progress and self.task is not None:
            rate = self.rows / max(time.monotonic() - self.began, 1e-3)
            self.progress.update(self.task, rows=self.rows, rate=rate)

    def advance(self) -> None:
        """Count a step that is done."""
        if self.progress and self.task is not None:
            self.progress.advance(self.task)


@dataclass(frozen=True)
class Bars:
    """The bars of a run, one per stage, drawn on `progress`, or nowhere."""

    progress: Progress | None = None

    def stage(self, name: str, total: int) -> Bar:
        """Begin a stage of `total` steps."""
        task = self.progress.add_task(name, total=total, rows=0, rate=0.0) if self.progress else None
        return Bar(self.progress, task)


@contextmanager
def bars(requests_per_minute: Callable[[], float] | None = None) -> Iterator[Bars]:
    """Show bars until the block ends, with the rate of requests if that is given."""
    if not sys.stderr.isatty():
        yield Bars()
        return
    # Imported only here: it takes as long as a hundred requests, and a scheduled run has no terminal.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Requests(ProgressColumn):
        """The rate of requests so far, of all stages together."""

        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            """Show it."""
            rate = requests_per_minute() if requests_per_minute else 0.0
            return Text(f"{rate:,.0f} requests/min" if rate else "")

    with Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rows]:,} rows  {task.fields[rate]:,.0f}/s"),
        Requests(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        yield Bars(progress)
