"""The vendor's usage report, `GET /usage`, in both shapes that are documented for it, and with the faults it may have.

The rollup (`results`) has credits and vCPU-seconds by one group; the other shape (`data`) has dollars and line items by
any combination of groups. Each is asked for with parameters of its own. All figures come from `simulator.metering`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Literal, get_args

import msgspec
from starlette.datastructures import QueryParams

from simulator.metering import MICROSECONDS_PER_HOUR, GroupBy, Rollup, nano_text
from simulator.rows import MICROSECONDS, NANO, read_time, to_iso, to_microseconds

if TYPE_CHECKING:
    from simulator.app import Options

UsageShape = Literal["results", "data"]
"""Credits by user, or dollars and line items by user, project and workspace."""

UsageParameters = Literal["any", "documented"]
"""What a server takes beside the parameters of its shape: any other ones, which it ignores, or none (422)."""

UsageGroups = Literal["list", "single"]
"""How many values of `groupBy` a server takes: any, or one (422 for more)."""

UsageCustom = Literal["taken", "ignored", "refused"]
"""What a server makes of `period=custom`: the bounds count, or its default period does, or it answers 422."""

UsagePeriod = Literal["asked", "month_before"]
"""The period that the answer is for."""

UsagePeriodText = Literal["instants", "offset", "dates", "last_second", "last_day", "month", "none"]
"""How the answer writes its period; `month` as `YYYY-MM`, `none` not at all."""

UsageLines = Literal["whole", "one_lost", "one_twice"]
"""Whether the report lists each line once."""

CHOICES = {
    "usage_shape": UsageShape,
    "usage_parameters": UsageParameters,
    "usage_groups": UsageGroups,
    "usage_custom": UsageCustom,
    "usage_period": UsagePeriod,
    "usage_period_text": UsagePeriodText,
    "usage_lines": UsageLines,
}
"""The choices of a server's options that are about this report, and their values."""

_DOCUMENTED = {
    "results": {"group_by", "period", "start", "end", "external_user_id"},
    "data": {"groupBy", "period", "period_start", "period_end", "workspace_id", "external_workspace_id"},
}
_ELEMENT_FIELDS = ("workspace_id", "project_id", "external_workspace_id", "external_user_id", "external_project_id")
_DAY = 24 * MICROSECONDS_PER_HOUR
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class QueryError(Exception):
    """A query that the server does not take (422)."""

    def __init__(self, code: str, message: str) -> None:
        """Carry the vendor's machine-readable code, and a message for people."""
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class UsageQuestion:
    """What a query asks for. Instants are microseconds since 1970 in UTC."""

    since: int
    until: int
    groups: tuple[GroupBy, ...]


def read_question(query: QueryParams, options: Options, now: int) -> UsageQuestion:
    """Read a query by a server's options. Raises `QueryError`."""
    shape = options.usage_shape
    unknown = sorted(set(query) - _DOCUMENTED[shape])
    if unknown and options.usage_parameters == "documented":
        raise QueryError("unknown_parameter", f"Unknown parameter {unknown[0]}.")
    if query.get("period") == "custom" and options.usage_custom == "refused":
        raise QueryError("invalid_period", "period must be one of 7d, 30d, month-to-date.")
    read = _rollup_period if shape == "results" else _data_period
    since, until = read(query, now, ignores_custom=options.usage_custom == "ignored")
    if options.usage_period == "month_before":
        since, until = _month_before(since), _month_start(since)
    return UsageQuestion(since, until, _groups(query, options))


def rollup_answer(
    question: UsageQuestion, rollup: Rollup, storage: Mapping[str, int], wanted: str | None, options: Options
) -> dict[str, object]:
    """The rollup's shape: one line for each group. `storage` is what each user keeps stored, in billionths of a GB."""
    (group_by,) = question.groups
    length = question.until - question.since
    # Who stores something is listed, with or without a session in the period.
    idle = sorted(user for user, size in storage.items() if size and user not in rollup.nano)
    results: list[dict[str, object]] = [
        {
            group_by: group,
            "sandbox_seconds": rollup.sandbox_seconds[group],
            "computer_seconds": rollup.computer_seconds[group],
            "storage_gb_hours": _number(storage.get(group or "", 0) * length // MICROSECONDS_PER_HOUR),
            "credit_cents": _number(options.rounded(rollup.nano[group])),
        }
        for group in [*idle, *rollup.groups]
        if wanted is None or group == wanted
    ]
    stated = _period_stated(question, options.usage_period_text)
    period: dict[str, object] = {}
    if isinstance(stated, dict):
        period = {"period_start": stated["start"], "period_end": stated["end"]}
    elif stated is not None:
        period = {"period": stated}
    return {**period, "results": _listed(results, options)}


def data_answer(question: UsageQuestion, rollup: Rollup, options: Options) -> dict[str, object]:
    """The shape in dollars: one element for each combination of groups that used something."""
    keys = sorted(rollup.nano, key=lambda key: [(name is None, name or "") for name in key])
    elements = [
        _element(
            dict(zip(question.groups, key, strict=True)), options.rounded(rollup.nano[key]), rollup.sandbox_seconds[key]
        )
        for key in keys
    ]
    stated = _period_stated(question, options.usage_period_text)
    period = {"period": stated} if stated is not None else {}
    return {"data": _listed(elements, options), **period, "currency": "usd"}


def _element(names: Mapping[GroupBy, str | None], nano: int, seconds: int) -> dict[str, object]:
    """One element. Its line items sum to its total exactly; one dimension is none that the vendor documents."""
    half, third = nano // 2, nano // 3
    items = [
        ("sandbox_vcpu_seconds", seconds, half),
        ("sandbox_ram_gb_seconds", 2 * seconds, third),
        ("managed_postgres", 1, nano - half - third),
    ]
    return {
        **{name: names.get(name) for name in _ELEMENT_FIELDS},  # type: ignore[call-overload]  # some are no groups
        "total_usd": dollars(nano),
        "line_items": [
            {"dimension": dimension, "qty": quantity, "usd": dollars(price)} for dimension, quantity, price in items
        ],
    }


def dollars(nano: int) -> msgspec.Raw:
    """Nano-credits as an exact JSON number of US dollars: 1 credit is 1 cent, so 10^11 of them are a dollar.

    >>> bytes(dollars(29 * 10**9)), bytes(dollars(1)), bytes(dollars(0))
    (b'0.29', b'0.00000000001', b'0')
    """
    whole, fraction = divmod(nano, 100 * NANO)
    return msgspec.Raw(f"{whole}.{fraction:011d}".rstrip("0").rstrip(".").encode())


def _listed(lines: list[dict[str, object]], options: Options) -> list[dict[str, object]] | None:
    """The lines as the report lists them."""
    if options.usage_lines == "one_lost":
        lines = lines[1:]
    elif options.usage_lines == "one_twice":
        lines = [*lines, *lines[:1]]
    return None if options.empty_list == "null" and not lines else lines


def _groups(query: QueryParams, options: Options) -> tuple[GroupBy, ...]:
    """What the report is to be grouped by."""
    known = get_args(GroupBy)
    if options.usage_shape == "results":
        asked = [query.get("group_by", "external_user_id")]
    else:
        texts = [*query.getlist("groupBy"), *query.getlist("groupBy[]")]
        asked = [name for text in texts for name in text.split(",")] or ["external_user_id"]
        if options.usage_groups == "single" and len(asked) > 1:
            raise QueryError("invalid_group_by", "groupBy takes one value.")
    if not set(asked) <= set(known):
        raise QueryError("invalid_group_by", f"The groups are {', '.join(known)}.")
    return tuple(asked)  # type: ignore[arg-type]  # checked above


def _rollup_period(query: QueryParams, now: int, *, ignores_custom: bool) -> tuple[int, int]:
    """The period of a rollup's query."""
    named = query.get("period")
    if named is None:
        # The vendor's client sends start and end alone as well, and may send neither.
        named = "custom" if "start" in query or "end" in query else "mtd"
    elif named == "custom" and ignores_custom:
        named = "30d"
    if named == "custom":
        return between(query, "start", "end")
    if named in ("7d", "30d"):
        return now - int(named[:-1]) * _DAY, now
    if named in ("mtd", "month-to-date"):
        return month_so_far(now)
    raise QueryError("invalid_period", "period must be one of 7d, 30d, mtd, custom.")


def _data_period(query: QueryParams, now: int, *, ignores_custom: bool) -> tuple[int, int]:
    """The period of a query for line items."""
    named = query.get("period")
    if named is not None and _MONTH.fullmatch(named):
        since = to_microseconds(datetime(int(named[:4]), int(named[5:]), 1, tzinfo=UTC))
        return since, _month_start(since + 31 * _DAY)
    if (named is None or not ignores_custom) and ("period_start" in query or "period_end" in query):
        return between(query, "period_start", "period_end")
    return month_so_far(now)


def between(query: Mapping[str, str], first: str, last: str) -> tuple[int, int]:
    """The instants of two parameters. Raises `QueryError`."""
    bounds: list[int] = []
    for name in (first, last):
        text = query.get(name)
        instant = None if text is None else read_time(text)
        if text is not None and instant is None:
            raise QueryError("invalid_time", f"{name} must be an ISO 8601 date and time.")
        bounds += [] if instant is None else [instant]
    if len(bounds) < 2 or bounds[0] >= bounds[1]:
        raise QueryError("invalid_period", f"{first} and {last} are both needed, {first} before {last}.")
    return bounds[0], bounds[1]


def month_so_far(now: int) -> tuple[int, int]:
    """From the start of the month to now; at least a microsecond."""
    since = _month_start(now)
    return since, max(now, since + 1)


def _month_start(instant: int) -> int:
    """The start of the month of an instant."""
    moment = datetime.fromisoformat(to_iso(instant))
    return to_microseconds(datetime(moment.year, moment.month, 1, tzinfo=UTC))


def _month_before(instant: int) -> int:
    """The start of the month before that of an instant."""
    return _month_start(_month_start(instant) - _DAY)


def _period_stated(question: UsageQuestion, how: str) -> dict[str, str] | str | None:
    """The period as the answer writes it; None if it does not."""
    since, until = (datetime.fromisoformat(to_iso(instant)) for instant in (question.since, question.until))
    if how == "none":
        return None
    if how == "month":
        return f"{since:%Y-%m}"
    if how == "dates":
        return {"start": f"{since:%Y-%m-%d}", "end": f"{until:%Y-%m-%d}"}
    if how == "last_day":
        return {"start": f"{since:%Y-%m-%d}", "end": f"{until - timedelta(days=1):%Y-%m-%d}"}
    if how == "offset":
        zone = timezone(timedelta(hours=5, minutes=30))
        return {"start": since.astimezone(zone).isoformat(), "end": until.astimezone(zone).isoformat()}
    return {
        "start": to_iso(question.since),
        "end": to_iso(question.until - (MICROSECONDS if how == "last_second" else 0)),
    }


def _number(nano: int) -> msgspec.Raw:
    """A nano amount as an exact JSON number."""
    return msgspec.Raw(nano_text(nano).encode())
