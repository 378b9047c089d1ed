"""The vendor's own figures of a month: how to ask for them, and how to read its usage report in either shape.

The report comes as `results` with `credit_cents` (the rollup), or as `data` with `total_usd` and `line_items`. Each
shape is documented with parameters of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from core.api.envelopes import count, envelope_places, read_envelope
from core.api.exchange import Params
from core.api.periods import require_month
from core.api.quotas import check_object
from core.clock import to_text
from core.errors import ApiError, IncompleteError, OtherPeriodError, RefusedQueryError
from core.months import next_month

logger = logging.getLogger("miosa_billing")

T = TypeVar("T")

_USER = "external_user_id"
# A server that reads one value of a repeated parameter mostly reads the last one.
_GROUPS = ("workspace_id", "external_project_id", _USER)


class UsageForms:
    """The ways to ask `GET /usage` for a month, and which of them the server took. Any number of threads may use it.

    The first request has the parameters of both shapes. A server that refuses one of them, or that answers for another
    period, is asked in the next way. Later months are asked in the way that worked. No way asks for `mtd`, which is
    another period tomorrow.
    """

    def __init__(self) -> None:
        """Nothing is known about the server yet."""
        self._lock = threading.Lock()
        self._taken: str | None = None

    def ask(self, month: datetime, get: Callable[[Params], T]) -> T:
        """Call `get` with one set of parameters after the other until an answer is for this month.

        `month` is its first instant, in UTC. Raises what `get` raises; if no way works, `OtherPeriodError` if the
        server answered at all, else `RefusedQueryError`.
        """
        forms = _forms(month)
        errors: list[OtherPeriodError | RefusedQueryError] = []
        for name in sorted(forms, key=lambda name: name != self._taken):
            try:
                answer = get(forms[name])
            except (OtherPeriodError, RefusedQueryError) as error:
                errors.append(error)
                logger.info("asked with the parameters of %s: %s", name, error)
                continue
            with self._lock:
                if self._taken != name:
                    logger.info("GET /usage takes the parameters of %s", name)
                self._taken = name
            return answer
        raise next((error for error in errors if isinstance(error, OtherPeriodError)), errors[-1])


def _forms(month: datetime) -> dict[str, Params]:
    """The parameters of each way to ask for a month, in the order in which they are tried."""
    start, end = to_text(month), to_text(next_month(month))
    rollup: dict[str, str] = {"group_by": _USER, "start": start, "end": end}
    bounds: dict[str, str] = {"period_start": start, "period_end": end}
    return {
        "both shapes": {**rollup, "period": "custom", **bounds, "groupBy": _GROUPS},
        "the rollup": {**rollup, "period": "custom"},
        "line items": {**bounds, "groupBy": _GROUPS},
        "the rollup, without period": rollup,
        "line items, by user only": {**bounds, "groupBy": _USER},
        "line items, by month": {"period": f"{month:%Y-%m}", "groupBy": _GROUPS},
    }


def summary_params(month: datetime) -> Params:
    """The query for a month's summary."""
    return {"period_start": to_text(month), "period_end": to_text(next_month(month))}


def check_summary(value: dict[str, Any], month: datetime) -> None:
    """Check a month's summary. Raises `ApiError` if it holds no figures, or those of another period."""
    check_object(value)
    require_month(value, month)


def report_lines(value: dict[str, Any], month: datetime) -> list[Any]:
    """The lines of a month's usage report, from where staging reads them (`stg_miosa__usage_rollups`).

    Raises `ApiError` if it has none or is for another period, and `IncompleteError` if it says that there are more.
    """
    lines = rollup_lines(value)
    require_month(value, month)
    return lines


def shape_of(lines: list[Any]) -> str | None:
    """The shape of a report with these lines, in words; None if no line shows it."""
    names = {name for line in lines if isinstance(line, dict) for name in line}
    if "credit_cents" in names:
        return "the rollup (credit_cents)"
    return "line items (total_usd)" if names & {"total_usd", "line_items"} else None


def rollup_lines(value: dict[str, Any]) -> list[Any]:
    """The lines of a usage report in either shape, whatever its period.

    Raises `ApiError` if it has none, and `IncompleteError` if it says that there are more.
    """
    inner = value.get("data")
    nested = inner if isinstance(inner, dict) else {}
    candidates = (value.get("results"), inner, nested.get("results"), nested.get("data"))
    lines = next((each for each in candidates if isinstance(each, list)), None)
    places = [*envelope_places(value), *envelope_places(nested)]
    envelope = read_envelope(places)
    if lines is None:
        # A period that the answer names makes it an answer to the question. A wrong zero there shows as a mismatch.
        names_period = any(_names_period(place) for place in (value, nested))
        holders = ((value, "results"), (value, "data"), (nested, "results"), (nested, "data"))
        is_null = any(key in place and place[key] is None for place, key in holders)
        if not is_null or not (names_period or envelope.says_empty()):
            raise ApiError("the answer has no list of results")
        lines = []
    largest = max((count(place.get("total")) or 0 for place in places), default=0)
    if envelope.has_more or envelope.cursor is not None or largest > len(lines) or (envelope.total_pages or 0) > 1:
        raise IncompleteError(f"the vendor's rollup lists {len(lines)} users and says that there are more")
    return lines


def _names_period(place: dict[str, Any]) -> bool:
    """Whether an answer names its period from start to end."""
    period = place.get("period")
    bounds = period if isinstance(period, dict) else {}
    return bool((place.get("period_start") and place.get("period_end")) or (bounds.get("start") and bounds.get("end")))
