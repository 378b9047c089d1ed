"""Whether an answer with the vendor's figures is for the month that was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from core.api.bodies import printable
from core.clock import to_text, utc_now
from core.errors import OtherPeriodError
from core.months import next_month

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?"
)
# An inclusive end is the last second of the month, or a fraction of it.
_LAST_SECOND = timedelta(seconds=1)
# In a running month, an answer may end when it was made. This much, the vendor's clock may be behind ours.
_CLOCK_DIFFERENCE = timedelta(hours=1)


def require_month(value: dict[str, Any], month: datetime) -> None:
    """Raise `OtherPeriodError` if an answer names another period than a month. `month` is its first instant, in UTC.

    An answer that names no period passes: nothing can be compared. One whose period cannot be read does not.
    """
    for name, stated in _stated(value):
        if not _is_same(name, stated, month):
            raise OtherPeriodError(
                f"the answer is for another period than {month:%Y-%m} ({to_text(month)} to "
                f"{to_text(next_month(month))}), so its figures are not stored: ask the vendor how to request a month",
                f": {name} is {printable(str(stated))}",
            )


def _stated(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What an answer says about its period, by name, from all the places where it may stand."""
    inner = value.get("data")
    for place in (value, inner if isinstance(inner, dict) else {}):
        period = place.get("period")
        bounds = period if isinstance(period, dict) else {}
        stated = (
            ("period_start", place.get("period_start")),
            ("period_end", place.get("period_end")),
            ("period", None if isinstance(period, dict) else period),
            ("period.start", bounds.get("start")),
            ("period.end", bounds.get("end")),
        )
        yield from ((name, said) for name, said in stated if said is not None)


def _is_same(name: str, stated: Any, month: datetime) -> bool:
    """Whether something said about a period can only mean this month."""
    if name == "period":
        # `custom` only repeats the question.
        return stated in ("custom", f"{month:%Y-%m}")
    instant = _instant(stated)
    if instant is None:
        return False
    if name.endswith("start"):
        return instant == month
    end = next_month(month)
    if _DATE.fullmatch(stated) and instant == end - timedelta(days=1):
        return True
    # No usage lies in the future, so an answer that ends now has all of a running month.
    earliest = min(end - _LAST_SECOND, utc_now() - _CLOCK_DIFFERENCE)
    return max(earliest, month) <= instant <= end


def _instant(text: Any) -> datetime | None:
    """A time or a date as UTC, without a zone; without one it is UTC already. None if it is neither."""
    if not isinstance(text, str) or not (_DATE.fullmatch(text) or _TIME.fullmatch(text)):
        return None
    try:
        moment = datetime.fromisoformat(text.upper().replace(",", "."))
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
