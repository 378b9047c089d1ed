"""Windows of time: how a span is split and joined, and whether the API selects sessions by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from core.api.pages import SEPARATOR, Page
from core.errors import UnselectiveError
from extract.context import Window

DAY = timedelta(days=1)


class _Times(msgspec.Struct):
    """A session, as far as its times go."""

    started_at: str | None = None
    ended_at: str | None = None


_decode_times = msgspec.json.Decoder(_Times).decode


def split(start: datetime, end: datetime, days: int) -> list[Window]:
    """Windows of so many days from `start` to `end`; the last may be shorter.

    >>> [f"{a:%d}-{b:%d}" for a, b in split(datetime(2026, 10, 1), datetime(2026, 10, 6), 2)]
    ['01-03', '03-05', '05-06']
    """
    windows = []
    while start < end:
        windows.append((start, min(start + days * DAY, end)))
        start += days * DAY
    return windows


def joined(windows: Iterable[Window], known: Mapping[datetime, int], most: int) -> list[Window]:
    """Windows with neighbours made one, where no more than so many sessions are known to begin in both together.

    Windows in which none is known are left alone: nothing says how many there are. `known` counts by day.

    >>> days = split(datetime(2026, 10, 1), datetime(2026, 10, 6), 1)
    >>> known = {start: 4 for start, _ in days[:4]}
    >>> [f"{a:%d}-{b:%d}" for a, b in joined(days, known, 10)]
    ['01-03', '03-05', '05-06']
    """
    result: list[tuple[Window, int]] = []
    for start, end in windows:
        count = sum(sessions for day, sessions in known.items() if start <= day < end)
        if result and count:
            (first, middle), before = result[-1]
            if before and middle == start and before + count <= most:
                result[-1] = ((first, end), before + count)
                continue
        result.append(((start, end), count))
    return [window for window, _ in result]


def is_covered(window: Window, others: Iterable[Window]) -> bool:
    """Whether one of these windows holds the whole of a window."""
    return any(start <= window[0] and window[1] <= end for start, end in others)


def coalesce(windows: Iterable[Window]) -> list[Window]:
    """Windows in order, with those that touch or overlap made one.

    >>> len(coalesce([(datetime(2026, 1, 2), datetime(2026, 1, 3)), (datetime(2026, 1, 1), datetime(2026, 1, 2))]))
    1
    """
    merged: list[Window] = []
    for start, end in sorted(windows):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def refuse_unselected(page: Page, window: Window) -> None:
    """Raise `UnselectiveError` for a page with a session that lies more than a day outside of the window.

    Only the first and the last row are checked: overlooking a server that does not select costs time, nothing else.
    """
    if not page.count:
        return
    for row in (page.text.partition(SEPARATOR)[0], page.text.rpartition(SEPARATOR)[2]):
        try:
            times = _decode_times(row)
            started, ended = _read_time(times.started_at), _read_time(times.ended_at)
        except (msgspec.MsgspecError, RecursionError):
            continue
        if started is None or ended is None:
            continue
        if max(started, ended) < window[0] - DAY or min(started, ended) > window[1] + DAY:
            raise UnselectiveError("the API does not select sessions by time")


def _read_time(text: str | None) -> datetime | None:
    """A time as UTC without a zone; None if it cannot be read."""
    try:
        moment = datetime.fromisoformat(text or "")
        offset = moment.utcoffset()
        return moment.replace(tzinfo=None) - (offset or timedelta(0))
    except (ValueError, OverflowError):
        return None
