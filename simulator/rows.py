"""What the simulated vendor understands of a raw row: the facts it needs to select, attribute and add up sessions.

A row is kept as the JSON text that is served, byte for byte, whatever it holds. Beside the text stand the facts read
from it, once. The reading follows the billing rules (1, 7, 8, 9), because the vendor's own rollup is compared with the
warehouse: a row that the warehouse must reject has to count nothing here as well.

This reading is the vendor's. It shares no code with the warehouse, nor with the tests' own reading in
`tests/python/support/oracle.py`, so an error in one of the three shows as a difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

NANO = 1_000_000_000
"""Nano-credits in a credit: the unit of account (rule 1)."""

MICROSECONDS = 1_000_000
"""Microseconds in a second: all instants here are whole microseconds since 1970 in UTC."""

UNATTRIBUTED = "(unattributed)"
"""The warehouse's name for nobody. A real id spelt so would be taken for it, hence a rejected row (rule 9)."""

COST_FIELDS = ("credit_cost", "credits_used")
"""The two names of a session's cost: the vendor's Go client has one, its TypeScript client the other."""

GONE = ("destroyed", "deleted", "terminated")
"""The statuses of a sandbox that no longer exists."""

_COST_LIMIT = 10**9
# Three thousand years: more would be no duration, and would overflow the sums of whoever reads it.
_SECONDS_LIMIT = 10**11
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,]([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?"
)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Session(msgspec.Struct, frozen=True, gc=False):
    """One usage row: its text and what was read from it. Instants are microseconds since 1970 in UTC."""

    text: bytes
    """The row as it is served."""
    id: str | None
    """The session's id; None where it is not usable (rule 7)."""
    start: int | None
    """Start; None where it is missing or unreadable."""
    end: int | None
    """End; None while the session runs, and where it is unreadable."""
    running: bool
    """True where the row has no end (null, or absent)."""
    seconds: int | None
    """Billed seconds as the row states them; None where it states none."""
    nano: int | None
    """Cost in nano-credits; None for a row that the rules reject: it counts nothing."""
    user: str | None
    """The row's own user; None where it names none."""
    computer: str | None
    """The sandbox or computer; None where it names none."""
    project: str | None
    """The row's ``external_project_id``."""
    workspace: str | None
    """The row's ``workspace_id``."""
    kind: str = "text"
    """``text``: given as text, served untouched; ``dict``: rendered here; ``generated``: rendered by the generator."""


class Sandbox(msgspec.Struct, frozen=True):
    """One sandbox row: its text and what was read from it."""

    text: bytes
    """The row as it is served."""
    id: str | None
    """The sandbox's id; None where it is not usable."""
    owner: str | None
    """The user it belongs to; None where it names none."""
    created: int | None
    """Creation, in microseconds since 1970 in UTC; None where it is missing or unreadable."""
    fields: Mapping[str, Any]
    """All fields, for the list's filters."""
    kind: str = "text"
    """As in `Session`."""

    @property
    def is_there(self) -> bool:
        """Whether the sandbox still exists, by its status."""
        return self.fields.get("status") not in GONE


class _Number(str):
    """A JSON number as the text it was, told apart from a JSON string."""

    __slots__ = ()


def to_text(row: Mapping[str, Any] | str) -> bytes:
    """Render a row as JSON text in UTF-8.

    A str is taken as the text itself, untouched. In a mapping, `Decimal` becomes a JSON number with all its digits;
    a float is refused (`TypeError`), since its digits are not those that the caller wrote.
    """
    if isinstance(row, str):
        return row.encode()
    _refuse_floats(row)
    return _ENCODER.encode(row)


def _refuse_floats(value: object) -> None:
    """Raise `TypeError` where a float hides in a row that is to be rendered."""
    if isinstance(value, float):
        raise TypeError(f"write {value!r} as a Decimal, or the row as JSON text: a float does not keep its digits")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)


def edit_text(text: bytes, changes: Mapping[str, bytes | None], cost: bytes) -> bytes:
    """Set top-level fields of a row to JSON texts, or drop them (None); all other fields keep their spelling.

    The cost goes under whichever of its two names the row has. Raises `ValueError` for a text that is no JSON object.
    """
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the row's text is not a plain JSON object: replace the row instead ({error})") from error
    names = [name for name in COST_FIELDS if name in fields] or ["credit_cost"]
    for name, value in {**changes, **dict.fromkeys(names, cost)}.items():
        if value is None:
            fields.pop(name, None)
        else:
            fields[name] = msgspec.Raw(value)
    return _ENCODER.encode(fields)


def number_text(value: Decimal | int | str) -> bytes:
    """A JSON number for a cost or limit, exact. A str is the number's own spelling. `ValueError` if it is none."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise ValueError(f"not an exact number: {value!r}")
    text = str(value)
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"not a JSON number: {text!r}")
    return text.encode()


def read_time(value: object) -> int | None:
    """Microseconds since 1970 in UTC of an ISO 8601 date and time, or date alone; None where it cannot be read.

    A date alone is its midnight. No zone means UTC, an offset is honoured, and further fraction digits than
    microseconds are cut (rule 8).
    """
    match = _TIME.fullmatch(value) if isinstance(value, str) and not isinstance(value, _Number) else None
    if match is None:
        return None
    day, clock, fraction, _, sign, hours, minutes = match.groups()
    try:
        wall = datetime.fromisoformat(f"{day}T{clock or '00:00'}").replace(tzinfo=UTC)
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        zone = timezone(-offset if sign == "-" else offset)
    except ValueError:
        return None
    if minutes is not None and int(minutes) > 59:
        return None
    instant = to_microseconds(wall) + int((fraction or "0")[:6].ljust(6, "0"))
    return instant - (zone.utcoffset(None) // timedelta(microseconds=1))


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exact. Raises `ValueError` for one without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"a datetime needs a zone: {moment.isoformat()}")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_iso(instant: int) -> str:
    """ISO 8601 text with `Z` of microseconds since 1970; the fraction only where there is one."""
    return (_EPOCH + timedelta(microseconds=instant)).isoformat().replace("+00:00", "Z")


def read_session(text: bytes, kind: str = "text") -> Session:
    """Read a usage row's facts. Never fails: what is unusable comes out as None, and the row still has its text."""
    row = _read_object(text)
    identity = _identity(row.get("id"))
    start = read_time(row.get("started_at"))
    ended_at = row.get("ended_at")
    running = ended_at is None
    end = None if running else read_time(ended_at)
    seconds, seconds_ok = _read_seconds(row.get("duration_sec"))
    nano = _read_cost(row, running)
    user = _identity(row.get("external_user_id"))
    in_order = start is not None and (running or (end is not None and end >= start))
    if identity is None or not in_order or not seconds_ok or user == UNATTRIBUTED:
        nano = None
    return Session(
        text=text,
        id=identity,
        start=start,
        end=end,
        running=running,
        seconds=seconds,
        nano=nano,
        user=user,
        computer=_identity(row.get("computer_id")),
        project=_identity(row.get("external_project_id")),
        workspace=_identity(row.get("workspace_id")),
        kind=kind,
    )


def read_sandbox(text: bytes, kind: str = "text") -> Sandbox:
    """Read a sandbox row's facts. Never fails, like `read_session`."""
    row = _read_object(text)
    owner = _identity(row.get("external_user_id"))
    return Sandbox(
        text=text,
        id=_identity(row.get("id")),
        # A sandbox of the reserved name is a rejected row too, so it gives its sessions no owner.
        owner=None if owner == UNATTRIBUTED else owner,
        created=read_time(row.get("created_at")),
        fields=row,
        kind=kind,
    )


def _read_object(text: bytes) -> dict[str, Any]:
    """The fields of a JSON object, its numbers as texts; empty for anything else."""
    try:
        row = json.loads(text, parse_float=_Number, parse_int=_Number)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _identity(value: object) -> str | None:
    """An id as given; None for what is no id: not a string, or empty (rules 7 and 9). Never trimmed or folded."""
    return value if isinstance(value, str) and not isinstance(value, _Number) and value else None


def _exact(value: object) -> Decimal | None:
    """The number that a JSON number, or a string in JSON's number grammar, stands for; None for anything else."""
    if not isinstance(value, str) or _NUMBER.fullmatch(value) is None:
        return None
    try:
        return Decimal(value)
    except InvalidOperation:  # an exponent beyond what Decimal holds: absurd, unless it scales a zero
        return None if re.split("[eE]", value)[0].strip("-0.") else Decimal(0)


def _whole(number: Decimal, scale: int) -> int | None:
    """`number` times ten to the `scale` as an integer; None where it is none. For numbers under 10^9 only."""
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        return None
    text = "".join(map(str, digits)).rstrip("0")
    if not text:
        return 0
    shift = exponent + len(digits) - len(text) + scale
    return None if shift < 0 else (-1 if sign else 1) * int(text) * 10**shift


def _read_seconds(value: object) -> tuple[int | None, bool]:
    """Billed seconds, and whether the field is acceptable: absent and null are, negative and fractional are not."""
    if value is None:
        return None, True
    number = _exact(value)
    if number is None or number < 0 or number >= _SECONDS_LIMIT:
        return None, False
    seconds = _whole(number, 0)
    return seconds, seconds is not None


def _read_cost(row: Mapping[str, Any], running: bool) -> int | None:
    """The cost in nano-credits; None where rule 1 or 7 rejects it. A running session without a cost has cost 0."""
    stated = [row[name] for name in COST_FIELDS if row.get(name) is not None]
    if not stated:
        return 0 if running else None
    numbers = [_exact(value) for value in stated]
    cost = numbers[0]
    if cost is None or numbers[-1] != cost or cost < 0 or cost >= _COST_LIMIT:
        return None
    nano = _rounded_nano(cost)
    return nano if nano < _COST_LIMIT * NANO else None


def _rounded_nano(number: Decimal) -> int:
    """A number that is not negative in nano-credits, rounded half away from zero (rule 1)."""
    _, digits, exponent = number.as_tuple()
    amount, shift = int("".join(map(str, digits))), int(exponent) + 9
    unit: int = 10 ** min(abs(shift), len(digits) + 1) if shift < 0 else 10**shift
    return amount * unit if shift >= 0 else (2 * amount + unit) // (2 * unit)
