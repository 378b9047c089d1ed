"""The one place that asks this machine what time it is. No figure that is billed depends on it."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, in UTC without a zone, as the warehouse keeps times."""
    return datetime.now(UTC).replace(tzinfo=None)


def to_text(moment: datetime) -> str:
    """A UTC moment as the API takes it.

    >>> to_text(datetime(2026, 10, 1))
    '2026-10-01T00:00:00Z'
    """
    # Not by strftime, which writes years before 1000 with fewer digits.
    return f"{moment.isoformat(timespec='seconds')}Z"
