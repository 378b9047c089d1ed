"""How long an answer asks its client to wait before the next try."""

from __future__ import annotations

import email.utils
import json
import math
from datetime import UTC, datetime
from typing import Any

from core.api.exchange import Answer
from core.clock import utc_now


def retry_after_seconds(answer: Answer) -> float | None:
    """The wait in seconds: `Retry-After` in seconds or as a date, else `retry_after_ms` in the body; None for none."""
    text = answer.headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is not None:
        return seconds
    if date := _http_date(text):
        # Relative to the server's own clock if the answer gives it: this machine's may be off.
        return (date - server_time(answer)).total_seconds()
    try:
        value = json.loads(answer.body, parse_int=float)  # as floats, integers of any length can be read
    except (ValueError, RecursionError):
        return None
    for place in (value, value.get("error") if isinstance(value, dict) else None):
        milliseconds = _number(place.get("retry_after_ms")) if isinstance(place, dict) else None
        if milliseconds is not None:
            return milliseconds / 1000
    return None


def server_time(answer: Answer) -> datetime:
    """The time at which the server answered, by its own clock if the answer gives it; in UTC without a zone."""
    return _http_date(answer.headers.get("date", "")) or utc_now()


def _number(value: Any) -> float | None:
    """A number, given as such or as text; None for anything else."""
    try:
        number = float(value) if isinstance(value, float | str) else math.nan
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _http_date(text: str) -> datetime | None:
    """An HTTP date in UTC without a zone; None if it cannot be read."""
    try:
        date = email.utils.parsedate_to_datetime(text)
        return date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date
    except (ValueError, TypeError, OverflowError):
        return None
