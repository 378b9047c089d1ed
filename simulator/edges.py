"""The odd rows: one session for every case that the billing rules name, each with a telling id.

A row's id (or, where the id itself is the oddity, its `computer_id`) is the edge's name, so a test or a reader of a
report knows at once what a row is there for. Texts are spelt out here and served byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from simulator.rows import to_iso, to_microseconds

EDGE_USER = "edge-user"
"""Who owns an edge row that is not about ownership."""

EDGE_OWNED_SANDBOX = "edge-sandbox-owned"
"""A sandbox that alone tells whose its sessions are."""

HOSTILE_USERS = (
    'o\'brien "the user"',
    "team/a/b",
    "emoji-😀",
    "  leading blanks",
    "..",
    "a%2Fb",
    "who?#me",
    "User-0001",  # not user-0001
    "caf\u00e9",  # one code point ...
    "cafe\u0301",  # ... and two: these are two users
)
"""Ids of users that a path, a query or a lenient comparison would get wrong. They are never trimmed or folded."""

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


class _Absent:
    """Marks a field that the row does not have."""


_ABSENT = _Absent()


@dataclass(frozen=True)
class Edge:
    """One odd row."""

    name: str
    """Its id, or its `computer_id` where it has no usable id."""
    rejected: bool
    """Whether the rules reject it: then it counts nothing anywhere."""
    text: str
    """The row as it is served."""


def edge_sandboxes(created: datetime) -> list[str]:
    """The sandboxes of the edge rows: owned, owned by a hostile id, by nobody, and by an empty id."""
    rows: list[dict[str, Any]] = [
        {"id": EDGE_OWNED_SANDBOX, "external_user_id": "sandbox-owner"},
        {"id": 'sbx/with "quotes" and 😀', "external_user_id": HOSTILE_USERS[0]},
        {"id": "edge-sandbox-nobody", "external_user_id": None},
        {"id": "edge-sandbox-empty-owner", "external_user_id": ""},
    ]
    common = {"name": "edge", "status": "stopped", "state": "stopped", "created_at": _z(created)}
    return [msgspec.json.encode({**row, **common}).decode() for row in rows]


def edge_sessions(month: datetime) -> list[Edge]:
    """All edge rows around the month that begins at `month` (an aware UTC datetime), the last whole one."""
    return [*_boundaries(month), *_running(month), *_spellings(month), *_owners(month), *_rejected(month)]


def _boundaries(month: datetime) -> list[Edge]:
    """Where sessions lie against days' and months' ends (rules 11 to 13)."""
    end, before = _next(month), _before(month)
    noon = month + 9 * _DAY + 12 * _HOUR
    midnight = month + 10 * _DAY
    return [
        _edge("edge-within-day", noon, noon + _HOUR),
        _edge("edge-crosses-day", midnight - _HOUR, midnight + 2 * _HOUR, credit_cost=_spelt("1.000000001")),
        _edge("edge-crosses-month", end - 7 * _HOUR, end + 4 * _HOUR, credit_cost=_spelt("10")),
        _edge("edge-crosses-month-in", month - 5 * _HOUR, month + 2 * _HOUR, credit_cost=_spelt("0.000000001")),
        _edge(
            "edge-several-months", _before(before) + 19 * _DAY, month + 4 * _DAY, credit_cost=_spelt("123.456789012")
        ),
        _edge("edge-no-length", noon, noon),
        _edge("edge-no-length-on-day-end", midnight, midnight),
        _edge("edge-no-length-on-month-end", end, end),
        _edge("edge-starts-on-month-end", end, end + _HOUR),
        _edge("edge-starts-on-month-start", month, month + _HOUR),
        _edge("edge-ends-on-month-end", end - _HOUR, end),
        _edge("edge-ends-on-day-end", midnight - _HOUR, midnight),
        _edge("edge-whole-month", month, end, credit_cost=_spelt("31")),
        _edge("edge-microsecond-past-month-end", end - _HOUR, end + _MICROSECOND, credit_cost=_spelt("3.6")),
        _edge("edge-paused", noon, noon + 10 * _HOUR, duration_sec=1234),
        _edge("edge-paused-crosses-month", end - 3 * _HOUR, end + 3 * _HOUR, duration_sec=7),
        _edge("edge-without-duration", noon, noon + _HOUR, duration_sec=_ABSENT),
    ]


def _running(month: datetime) -> list[Edge]:
    """Sessions that have not ended (rules 12 and 14).

    Those without `duration_sec` last until now, whatever the reader's now is, so they start after the month's end.
    """
    end = _next(month)
    start = end + _DAY
    return [
        _edge("edge-running", start, None, duration_sec=_ABSENT),
        _edge("edge-running-with-duration", start, None, duration_sec=3600),
        _edge("edge-running-without-cost", start, None, duration_sec=60, credit_cost=_ABSENT),
        _edge("edge-running-end-absent", start, None, duration_sec=60, ended_at=_ABSENT),
        _edge("edge-running-crosses-month", end - _HOUR, None, duration_sec=7200, credit_cost=_spelt("4.2")),
    ]


def _spellings(month: datetime) -> list[Edge]:
    """Valid rows that are spelt in an unusual way (rules 1, 4, 7 and 8)."""
    noon, end = month + 11 * _DAY + 12 * _HOUR, _next(month)
    day, next_month = f"{noon:%Y-%m-%d}", f"{end:%Y-%m-%d}"
    last_day = f"{end - _DAY:%Y-%m-%d}"

    def at(name: str, **fields: Any) -> Edge:
        return _edge(name, noon, noon + _HOUR, **fields)

    return [
        at("edge-cost-text", credit_cost="0.10"),
        at("edge-cost-exponent", credit_cost=_spelt("1E-3")),
        at("edge-cost-nine-decimals", credit_cost=_spelt("12345.123456789")),
        at("edge-cost-smallest", credit_cost=_spelt("0.000000001")),
        at("edge-cost-zero", credit_cost=_spelt("0")),
        at("edge-cost-other-name", credit_cost=_ABSENT, credits_used=_spelt("2.50")),
        at("edge-cost-both-names", credit_cost=_spelt("1.5"), credits_used=_spelt("1.50")),
        at("edge-fields-unknown", region="eu-1", metadata={"labels": ["a", _spelt("1.10")], "deep": {"x": None}}),
        at("edge-fields-null", external_project_id=None, workspace_id=None, project_id=None),
        _edge("edge-offset-east-crosses-month", f"{next_month}T04:00:00+05:30", f"{next_month}T06:30:00+05:30"),
        _edge("edge-offset-west-crosses-month", f"{last_day}T14:00:00-08:00", f"{last_day}T18:00:00-08:00"),
        _edge("edge-offset-mixed", f"{day}T12:00:00+02:00", f"{day}T11:00:00Z", duration_sec=3600),
        _edge("edge-fraction-nine-digits", f"{day}T12:00:00.123456789Z", f"{day}T13:00:00.987654321Z"),
        _edge("edge-without-zone", f"{day}T12:00:00", f"{day}T13:00:00"),
        at('edge-id "quoted" o\'clock'),
        at("edge-id/with/slashes"),
        at("edge-id-😀"),
        at("  edge-id leading blanks"),
        at("edge-id-case"),
        at("EDGE-ID-CASE"),
    ]


def _owners(month: datetime) -> list[Edge]:
    """Whose a session is (rule 9)."""
    noon = month + 12 * _DAY + 12 * _HOUR

    def at(name: str, **fields: Any) -> Edge:
        return _edge(name, noon, noon + _HOUR, **fields)

    return [
        at("edge-owner-by-sandbox", external_user_id=None, computer_id=EDGE_OWNED_SANDBOX),
        at("edge-owner-by-sandbox-absent", external_user_id=_ABSENT, computer_id=EDGE_OWNED_SANDBOX),
        at("edge-owner-by-sandbox-empty", external_user_id="", computer_id=EDGE_OWNED_SANDBOX),
        at("edge-owner-by-odd-sandbox", external_user_id=None, computer_id='sbx/with "quotes" and 😀'),
        at("edge-owner-both", external_user_id=EDGE_USER, computer_id=EDGE_OWNED_SANDBOX),
        at("edge-unattributed", external_user_id=None),
        at("edge-unattributed-empty", external_user_id=""),
        at("edge-unattributed-without-sandbox", external_user_id=_ABSENT, computer_id=_ABSENT),
        at("edge-unattributed-sandbox-of-nobody", external_user_id=None, computer_id="edge-sandbox-nobody"),
        at("edge-unattributed-sandbox-empty-owner", external_user_id=None, computer_id="edge-sandbox-empty-owner"),
        *(at(f"edge-owner-hostile-{number}", external_user_id=user) for number, user in enumerate(HOSTILE_USERS)),
    ]


def _rejected(month: datetime) -> list[Edge]:
    """One row, or several, of each kind that is rejected (rules 1, 7 and 9)."""
    noon = month + 13 * _DAY + 12 * _HOUR
    day = f"{noon:%Y-%m-%d}"
    hour = (noon, noon + _HOUR)

    def rejected(name: str, **fields: Any) -> Edge:
        return _edge(f"edge-rejected-{name}", *hour, rejected=True, **fields)

    return [
        rejected("id-missing", id=_ABSENT),
        rejected("id-null", id=None),
        rejected("id-empty", id=""),
        rejected("id-number", id=12345),
        rejected("start-missing", started_at=_ABSENT),
        rejected("start-null", started_at=None),
        rejected("start-unreadable", started_at="yesterday"),
        rejected("start-impossible-day", started_at=f"{noon:%Y}-02-30T12:00:00Z"),
        rejected("end-unreadable", ended_at="soon"),
        rejected("end-before-start", ended_at=f"{day}T11:59:59.999999Z"),
        rejected("duration-negative", duration_sec=-1),
        rejected("duration-fractional", duration_sec=_spelt("12.5")),
        rejected("duration-text", duration_sec="an hour"),
        rejected("cost-missing", credit_cost=_ABSENT),
        rejected("cost-null", credit_cost=None),
        rejected("cost-negative", credit_cost=_spelt("-0.01")),
        rejected("cost-nan", credit_cost="NaN"),
        rejected("cost-infinity", credit_cost="Infinity"),
        rejected("cost-boolean", credit_cost=True),
        rejected("cost-list", credit_cost=[_spelt("1.5")]),
        rejected("cost-object", credit_cost={"amount": _spelt("1.5")}),
        rejected("cost-words", credit_cost="free"),
        rejected("cost-empty", credit_cost=""),
        rejected("cost-underscore", credit_cost="1_000"),
        rejected("cost-blanks", credit_cost=" 1 "),
        rejected("cost-comma", credit_cost="1,5"),
        rejected("cost-plus", credit_cost="+1"),
        rejected("cost-too-large-when-rounded", credit_cost=_spelt("999999999.9999999995")),
        rejected("cost-too-large", credit_cost=_spelt("1000000000")),
        rejected("cost-too-large-exponent", credit_cost=_spelt("1E9")),
        rejected("cost-names-differ", credit_cost=_spelt("1.5"), credits_used=_spelt("1.51")),
        rejected("user-reserved", external_user_id="(unattributed)"),
    ]


def _edge(
    name: str,
    start: datetime | str,
    end: datetime | str | None,
    *,
    rejected: bool = False,
    **fields: Any,
) -> Edge:
    """One edge row: an ordinary session but for the fields given."""
    row: dict[str, Any] = {
        "id": name,
        "computer_id": name,
        "external_user_id": EDGE_USER,
        "started_at": start if isinstance(start, str) else _z(start),
        "ended_at": _z(end) if isinstance(end, datetime) else end,
        "credit_cost": _spelt("1.25"),
    }
    if isinstance(start, datetime) and isinstance(end, datetime):
        row["duration_sec"] = (end - start) // timedelta(seconds=1)
    row.update(fields)
    kept = {key: value for key, value in row.items() if value is not _ABSENT}
    return Edge(name, rejected, msgspec.json.encode(kept).decode())


def _spelt(number: str) -> msgspec.Raw:
    """A JSON number with exactly this spelling."""
    return msgspec.Raw(number.encode())


def _z(moment: datetime) -> str:
    return to_iso(to_microseconds(moment))


def _next(month: datetime) -> datetime:
    """The start of the month after the one that begins at `month`."""
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)


def _before(month: datetime) -> datetime:
    """The start of the month before."""
    return (month - _DAY).replace(day=1)
