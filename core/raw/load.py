"""One load: its request, and the counts of its result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(slots=True)
class Load:
    """One resource and one window, from its reading to its landing."""

    resource: str
    number: int
    window_start: datetime | None = None
    window_end: datetime | None = None
    started_at: datetime = datetime.min
    ended_at: datetime = datetime.min
    pages: int = 0
    total: int | None = None
    rows: int = 0
    distinct_ids: int = 0
    unidentified: int = 0
    conflicts: int = 0
    rows_added: int = 0
    refused_status: int | None = None
    """The status with which the API refused it: the key may not read it, so the load has no rows."""

    @property
    def outcome(self) -> str:
        """What came of it, as raw says it."""
        return "complete" if self.refused_status is None else "not allowed"

    @property
    def proven(self) -> int:
        """How many rows the load proves that the list has: distinct ids, plus rows without a usable id."""
        return self.distinct_ids + self.unidentified

    def __str__(self) -> str:
        """The load as messages name it."""
        name = self.resource.replace("_", " ")
        if self.window_start is None or self.window_end is None:
            return name
        last = self.window_end - timedelta(days=1)
        days = f"{self.window_start:%Y-%m-%d}"
        return f"{name} of {days}" if last <= self.window_start else f"{name} of {days} to {last:%Y-%m-%d}"
