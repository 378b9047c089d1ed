"""A progress bar on standard error: windows, rows and rate. Silent where that is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text


class _RowsColumn(ProgressColumn):
    """Rows so far, and rows a second."""

    def render(self, task: Task) -> Text:
        """Show both."""
        rows = int(task.fields.get("rows", 0))
        rate = rows / task.elapsed if task.elapsed else 0.0
        return Text(f"{rows:,} rows  {rate:,.0f}/s")


class Bar:
    """One stage's bar."""

    def __init__(self, progress: Progress, name: str, total: int) -> None:
        """Show a stage of `total` steps."""
        self._progress = progress
        self._task = progress.add_task(name, total=total, rows=0)
        self._rows = 0

    def add_rows(self, rows: int) -> None:
        """Count rows that came."""
        self._rows += rows
        self._progress.update(self._task, rows=self._rows)

    def advance(self) -> None:
        """Count a step that is done."""
        self._progress.advance(self._task)

    def set_total(self, total: int) -> None:
        """Change how many steps there are."""
        self._progress.update(self._task, total=total)


class Bars:
    """The bars of a run, one a stage."""

    def __init__(self, progress: Progress) -> None:
        """Draw on `progress`."""
        self._progress = progress

    def stage(self, name: str, total: int) -> Bar:
        """Begin a stage."""
        return Bar(self._progress, name, total)


@contextmanager
def bars() -> Iterator[Bars]:
    """Show bars until the block ends."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RowsColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with progress:
        yield Bars(progress)
