"""The vendor's own figures of a month: how to ask for them, and the check of the rollup by user."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.api.envelopes import count, envelope_places, read_envelope
from core.clock import to_text
from core.errors import ApiError, IncompleteError
from core.months import next_month


def rollup_params(month: datetime) -> dict[str, str]:
    """The query for a month's rollup by user. `month` is its first instant, in UTC."""
    return {
        "group_by": "external_user_id",
        "period": "custom",
        "start": to_text(month),
        "end": to_text(next_month(month)),
    }


def summary_params(month: datetime) -> dict[str, str]:
    """The query for a month's summary."""
    return {"period_start": to_text(month), "period_end": to_text(next_month(month))}


def rollup_lines(value: dict[str, Any]) -> list[Any]:
    """The lines of a rollup, from where staging reads them (`stg_miosa__usage_rollups`).

    Raises `ApiError` if it has none, and `IncompleteError` if it says that there are more.
    """
    inner = value.get("data")
    nested = inner if isinstance(inner, dict) else {}
    candidates = (value.get("results"), inner, nested.get("results"))
    lines = next((each for each in candidates if isinstance(each, list)), None)
    places = [*envelope_places(value), *envelope_places(nested)]
    envelope = read_envelope(places)
    if lines is None:
        # A period that the answer names makes it an answer to the question. A wrong zero there shows as a mismatch.
        names_period = any(place.get("period_start") and place.get("period_end") for place in (value, nested))
        holders = ((value, "results"), (value, "data"), (nested, "results"))
        is_null = any(key in place and place[key] is None for place, key in holders)
        if not is_null or not (names_period or envelope.says_empty()):
            raise ApiError("the answer has no list of results")
        lines = []
    largest = max((count(place.get("total")) or 0 for place in places), default=0)
    if envelope.has_more or envelope.cursor is not None or largest > len(lines) or (envelope.total_pages or 0) > 1:
        raise IncompleteError(f"the vendor's rollup lists {len(lines)} users and says that there are more")
    return lines
