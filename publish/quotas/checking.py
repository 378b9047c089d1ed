"""How close a user is to each limit: from the warehouse, or live from the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from core import canonical
from core.api.bodies import read_document
from core.api.client import Client
from core.api.exchange import Answer
from core.api.quotas import ACCEPTED, quota_path, read_quota_answer
from core.api.usage import UsageForms, report_lines
from core.clock import utc_now
from core.database.connection import Query
from core.errors import ApiError, WarehouseError
from core.months import next_month
from core.sql_files import sql_files
from publish.quotas.comparison import effective_quotas, limit_json
from publish.quotas.limits import EXACT, FIELDS, Limit, Quota, number, number_text, read_quota

sql = sql_files(__file__)

_PLACES = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class Line:
    """One quota of a user: limit and use."""

    quota: str
    limit: Limit
    used: Decimal | None
    """The use; None if it is not measured."""
    reached_at: datetime | None = None
    """When the limit was reached (UTC); None if the marts do not know, or know it for another limit."""

    @property
    def headroom(self) -> Decimal | None:
        """The limit minus the use; None without a limit, or if the use is not measured."""
        if self.limit.value is None or self.used is None:
            return None
        return EXACT.subtract(self.limit.value, self.used)

    @property
    def is_reached(self) -> bool:
        """Whether nothing is left."""
        return self.headroom is not None and self.headroom <= 0


@dataclass(frozen=True, slots=True)
class Standing:
    """All quotas of a user."""

    external_user_id: str
    source: str
    """`warehouse` or `api`."""
    billing_period: str | None
    lines: Sequence[Line]
    unproven: str | None = None
    """Why no build has proven the use; None if one has, or if it is the API's."""

    @property
    def has_headroom(self) -> bool:
        """Whether no limit is reached."""
        return not any(line.is_reached for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """The document of `check --json`. Amounts are strings, so that no reader turns them into floats."""
        return {
            "external_user_id": self.external_user_id,
            "source": self.source,
            "unproven": self.unproven,
            "billing_period": self.billing_period,
            "has_headroom": self.has_headroom,
            "quotas": [
                {
                    "quota": line.quota,
                    "limit": limit_json(line.limit),
                    "used": None if line.used is None else number_text(line.used),
                    "headroom": None if line.headroom is None else number_text(line.headroom),
                    "is_reached": line.is_reached,
                    "reached_limit_at_utc": None if line.reached_at is None else f"{line.reached_at.isoformat()}Z",
                }
                for line in self.lines
            ],
        }


def check_warehouse(query: Query, user: str) -> Standing | None:
    """A user's use in the current period against the limits by the newest answer; None for an unknown user.

    The warehouse must be built. Raises `WarehouseError` if the user's quota was never read.
    """
    if query(sql("is_known_user"), [user]) != [(True,)]:
        return None
    quota = effective_quotas(query, [user]).get(user)
    if quota is None:
        raise WarehouseError("this user's quota was never read: run `python -m extract`, or check with --live")
    used = {row[1]: row for row in query(sql("usage_of_user"), [user, list(FIELDS)])}
    lines, period = [], None
    for name in FIELDS:
        period, _, amount, limit_then, reached_at = used[name]
        limit = quota.limit(name)
        lines.append(Line(name, limit, amount, reached_at if limit.value == limit_then else None))
    return Standing(user, "warehouse", period, lines)


def check_api(client: Client, user: str) -> Standing | None:
    """A user's use this month so far by the vendor's own figures; None for a user unknown to it.

    Counters come from the quota, credits and storage from the rollup. Raises `ApiError`.
    """
    path = quota_path(user)
    if path is None:
        return None
    now = utc_now()
    month = datetime(now.year, now.month, 1)
    status, payload, normalized = client.get(path, {}, read_quota_answer, accepted=ACCEPTED)
    quota = read_quota(status, payload if normalized is None else normalized, user)
    rollup = UsageForms().ask(month, lambda params: client.get("/usage", params, partial(_read_report, month=month)))
    own = [line for line in rollup if isinstance(line, dict) and line.get("external_user_id") == user]
    if not quota.has_quota and not own:
        return None
    hours = (next_month(month) - month) // timedelta(hours=1)
    has_storage = any(isinstance(line, dict) and line.get("storage_gb_hours") is not None for line in rollup)
    is_measured = has_storage and all(line.get("storage_gb_hours") is not None for line in own)
    storage = EXACT.divide(_sum(own, "storage_gb_hours"), Decimal(hours)) if is_measured else None
    used = {
        **_counted(quota),
        "credits": _credits(own),
        "storage_gb": None if storage is None else EXACT.quantize(storage, _PLACES),
    }
    lines = [Line(name, quota.limit(name), used[name]) for name in FIELDS]
    return Standing(user, "api", f"{month:%Y-%m}", lines)


def _counted(quota: Quota) -> dict[str, Decimal | None]:
    """The vendor's live counters. Raises `ApiError` if it limits something that it does not count."""
    missing = [name for name in ("sandboxes", "concurrent") if name in quota.caps and name not in quota.used]
    if missing:
        raise ApiError(f"the API does not say how many {missing[0]} are in use: check without --live")
    return {name: quota.used.get(name, Decimal(0)) for name in ("sandboxes", "concurrent")}


def _read_report(answer: Answer, month: datetime) -> list[Any]:
    """The lines of the vendor's usage report of a month. Raises `ApiError` for one that is not in US dollars."""
    payload, normalized, _ = read_document(answer.body)
    value = canonical.parse(payload if normalized is None else normalized)
    inner = value.get("data")
    for place in (value, inner if isinstance(inner, dict) else {}):
        if str(place.get("currency") or "usd").lower() != "usd":
            raise ApiError("the API's usage report is not in US dollars: check without --live")
    return report_lines(value, month)


def _credits(lines: Sequence[dict[str, Any]]) -> Decimal:
    """The credits of these lines, in either shape: 1 credit is 1 cent. Raises `ApiError` for what is no number."""
    in_dollars = [line for line in lines if line.get("credit_cents") is None and line.get("total_usd") is not None]
    in_credits = [line for line in lines if line not in in_dollars]
    return EXACT.add(_sum(in_credits, "credit_cents"), EXACT.multiply(_sum(in_dollars, "total_usd"), Decimal(100)))


def _sum(lines: Sequence[dict[str, Any]], name: str) -> Decimal:
    """The sum of a figure. Raises `ApiError` if one is not a number."""
    total = Decimal(0)
    for line in lines:
        value = number(line.get(name, "0"))
        if value is None:
            raise ApiError(f"the API's rollup has a {name} that is no number")
        total = EXACT.add(total, value)
    return total
