"""Calendar months in UTC."""

from __future__ import annotations

from datetime import datetime


def month_start(month: str) -> datetime:
    """The first instant of a month named `YYYY-MM`, in UTC without a zone.

    >>> month_start("2026-10")
    datetime.datetime(2026, 10, 1, 0, 0)
    """
    return datetime(int(month[:4]), int(month[5:]), 1)


def next_month(start: datetime) -> datetime:
    """The first instant of the month after.

    >>> next_month(datetime(2026, 12, 1))
    datetime.datetime(2027, 1, 1, 0, 0)
    """
    return datetime(start.year + start.month // 12, start.month % 12 + 1, 1)
